"""The version of the package, which is also that of the library it was written for."""

VERSION = "0.1.0"
