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
    int depth = deep(3);

    printf("%d, as %ld\n", depth, (long)getuid());
    return 4;
}
