"""Writes a wheel with a module and a program: FILE."""

import sys
import zipfile

FILES = {
    "greeting/__init__.py": "def main() -> None:\n    print('greetings')\n",
    "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
    "greeting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "greeting-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n",
}

with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    for name, text in FILES.items():
        wheel.writestr(name, text)
    record = "".join(f"{name},,\n" for name in [*FILES, "greeting-1.0.dist-info/RECORD"])
    wheel.writestr("greeting-1.0.dist-info/RECORD", record)
