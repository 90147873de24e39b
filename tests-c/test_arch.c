/* Architectures and system calls by name and by number. */

#include "check.h"

#include <sys/syscall.h>

static uint32_t arch_named(const char *name)
{
    uint32_t arch = 0;

    OK(unotify_arch_from_name(name, &arch));
    return arch;
}

static int call_named(uint32_t arch, const char *name)
{
    int nr = -77;

    OK(unotify_syscall_from_name(arch, name, &nr));
    return nr;
}

/* There is no such call, and the number is left as it was. */
#define UNNAMED(arch, name, status)                                        \
    do {                                                                   \
        int nr_ = -77;                                                     \
        CHECK_STATUS(unotify_syscall_from_name(arch, name, &nr_), status); \
        CHECK_INT(nr_, -77);                                               \
    } while (0)

#define X86_64 UINT32_C(0xc000003e)

static void an_architecture_is_found_by_short_and_long_name(void)
{
    CHECK_INT(arch_named("x86_64"), X86_64);
    CHECK_INT(arch_named("SCMP_ARCH_X86_64"), X86_64);
    CHECK_INT(arch_named("native"), unotify_arch_native());
}

static void an_unknown_architecture_name_is_told(void)
{
    uint32_t arch = 4711;

    CHECK_STATUS(unotify_arch_from_name("pdp11", &arch), UNOTIFY_ERR_UNKNOWN_ARCH);
    CHECK_SAID("unknown architecture `pdp11`");
    CHECK_INT(arch, 4711);
}

static void an_architecture_is_named_by_number(void)
{
    CHECK(strcmp(unotify_arch_name(X86_64), "x86_64") == 0);
    CHECK(unotify_arch_name(12345) == NULL);
}

static void the_native_architecture_is_the_compilers(void)
{
#if defined(__x86_64__)
    CHECK_INT(unotify_arch_native(), X86_64);
#elif defined(__aarch64__)
    CHECK_INT(unotify_arch_native(), arch_named("aarch64"));
#endif
    CHECK(unotify_arch_name(unotify_arch_native()) != NULL);
}

static void the_architecture_of_32_bit_programs_is_named(void)
{
#if defined(__x86_64__)
    CHECK_INT(unotify_arch_compat(), arch_named("x86"));
#elif defined(__aarch64__)
    CHECK_INT(unotify_arch_compat(), arch_named("arm"));
#endif
}

static void a_system_call_is_found_by_name(void)
{
    CHECK_INT(call_named(X86_64, "openat"), 257);
    CHECK_INT(call_named(0, "openat"), SYS_openat);
}

static void an_unknown_system_call_is_told_with_its_architecture(void)
{
    UNNAMED(X86_64, "opennat", UNOTIFY_ERR_UNKNOWN_SYSCALL);
    CHECK_SAID("unknown system call `opennat` on x86_64");
}

static void a_system_call_of_another_architecture_is_unknown(void)
{
    UNNAMED(X86_64, "socketcall", UNOTIFY_ERR_UNKNOWN_SYSCALL);
    CHECK_SAID("unknown system call `socketcall` on x86_64");
}

static void a_system_call_of_an_unknown_architecture_is_told(void)
{
    UNNAMED(77, "openat", UNOTIFY_ERR_UNKNOWN_ARCH);
    CHECK_SAID("unknown architecture 0x4d");
}

static void a_system_call_is_named_by_number_where_there_is_room(void)
{
    char buf[7] = "!";

    CHECK_STATUS(unotify_syscall_name(X86_64, 257, buf, 6), UNOTIFY_ERR_TOO_LONG);
    CHECK_INT(errno, ERANGE);
    CHECK(strcmp(buf, "!") == 0);
    OK(unotify_syscall_name(X86_64, 257, buf, sizeof buf));
    CHECK(strcmp(buf, "openat") == 0);
    CHECK_STATUS(unotify_syscall_name(X86_64, 9999, buf, sizeof buf), UNOTIFY_ERR_UNKNOWN_SYSCALL);
    CHECK(strcmp(buf, "openat") == 0);
}

static void garbage_is_refused(void)
{
    uint32_t arch = 4711;
    int nr = -77;
    char buf[16];

    CHECK_STATUS(unotify_arch_from_name(NULL, &arch), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_SAID("`name` is null");
    CHECK_STATUS(unotify_arch_from_name(NULL, NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_arch_from_name("x86_64", NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(arch, 4711);
    CHECK_STATUS(unotify_syscall_from_name(0, NULL, &nr), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_syscall_from_name(0, "openat", NULL), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_INT(nr, -77);
    CHECK_STATUS(unotify_syscall_name(X86_64, 257, NULL, 0), UNOTIFY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(unotify_syscall_name(X86_64, 257, NULL, sizeof buf), UNOTIFY_ERR_INVALID_ARGUMENT);
}

int main(void)
{
    RUN(CASE(an_architecture_is_found_by_short_and_long_name),
        CASE(an_unknown_architecture_name_is_told), CASE(an_architecture_is_named_by_number),
        CASE(the_native_architecture_is_the_compilers),
        CASE(the_architecture_of_32_bit_programs_is_named), CASE(a_system_call_is_found_by_name),
        CASE(an_unknown_system_call_is_told_with_its_architecture),
        CASE(a_system_call_of_another_architecture_is_unknown),
        CASE(a_system_call_of_an_unknown_architecture_is_told),
        CASE(a_system_call_is_named_by_number_where_there_is_room), CASE(garbage_is_refused));
}
