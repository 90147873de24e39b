/*
 * Preloaded under valgrind, which answers every seccomp(2) with ENOSYS: says the sizes of the
 * notification structures in the kernel's place. All else goes to the kernel.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/syscall.h>

long syscall(long number, ...)
{
    long (*real)(long, ...);
    long a[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);

    if (number == __NR_seccomp && a[0] == SECCOMP_GET_NOTIF_SIZES) {
        struct seccomp_notif_sizes *sizes = (struct seccomp_notif_sizes *)a[2];

        sizes->seccomp_notif = sizeof(struct seccomp_notif);
        sizes->seccomp_notif_resp = sizeof(struct seccomp_notif_resp);
        sizes->seccomp_data = sizeof(struct seccomp_data);
        return 0;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
