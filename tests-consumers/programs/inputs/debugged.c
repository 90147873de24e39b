/* For gdb: something to stop in, and calls that are answered for it. */
#include <stdio.h>
#include <unistd.h>

static int deep(int n)
{
    FILE *file;

    if (n > 0)
        return deep(n - 1) + 1;
    file = fopen("/etc/passwd", "r");
    return file ? fclose(file) : -1;
}

int main(void)
{
    printf("%d, as %ld\n", deep(3), (long)getuid());
    return 4;
}
