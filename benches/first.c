/* The least a program can do: it is there.
 *
 *   first [FD]
 *
 * Calls getppid, which a filter may notify, and with FD writes a byte there, for who has no filter.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	syscall(SYS_getppid);
	return argc > 1 && write(atoi(argv[1]), "", 1) != 1;
}
