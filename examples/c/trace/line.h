/* A line of output, which grows up to a limit, and what is written as it is in C. */
#ifndef LINE_H
#define LINE_H

#include <stddef.h>
#include <stdint.h>

/* Room for two paths of which every byte takes an escape. On the stack, of which little is used. */
struct line {
    size_t length;
    char text[65536];
};

void put_char(struct line *line, char c);
void put(struct line *line, const char *text);
void put_number(struct line *line, int64_t number);
void put_unsigned(struct line *line, uint64_t number);
void put_hex(struct line *line, uint64_t number);
void put_octal(struct line *line, uint64_t number);
/* An address, or NULL. */
void put_address(struct line *line, uint64_t address);
/* Bytes as they are written in a string. */
void put_escaped(struct line *line, const char *bytes, size_t length);
/* A string in quotes; `more` puts three dots behind it. */
void put_quoted(struct line *line, const char *bytes, size_t length, int more);

/* Ends a line; one that has reached the limit ends in three dots. */
void end_line(struct line *line);

/* Writes a whole line, in one piece where the kernel takes it so. 0, or -1 with errno. */
int write_line(int fd, const struct line *line);

#endif
