#include "line.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void put_bytes(struct line *line, const char *bytes, size_t length)
{
    /* The last byte is kept for the line's end. */
    size_t room = sizeof line->text - 1 - line->length;

    if (length > room)
        length = room;
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
}

void put_char(struct line *line, char c)
{
    put_bytes(line, &c, 1);
}

void end_line(struct line *line)
{
    if (line->length == sizeof line->text - 1)
        memcpy(line->text + line->length - 3, "...", 3);
    line->text[line->length++] = '\n';
}

void put(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

static void put_digits(struct line *line, uint64_t number, unsigned base)
{
    char digits[24];
    size_t i = sizeof digits;

    do {
        digits[--i] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    put_bytes(line, digits + i, sizeof digits - i);
}

void put_unsigned(struct line *line, uint64_t number)
{
    put_digits(line, number, 10);
}

void put_number(struct line *line, int64_t number)
{
    if (number < 0)
        put_char(line, '-');
    put_digits(line, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10);
}

void put_hex(struct line *line, uint64_t number)
{
    if (number > 0)
        put(line, "0x");
    put_digits(line, number, 16);
}

void put_octal(struct line *line, uint64_t number)
{
    if (number > 0)
        put_char(line, '0');
    put_digits(line, number, 8);
}

void put_address(struct line *line, uint64_t address)
{
    if (address == 0)
        put(line, "NULL");
    else
        put_hex(line, address);
}

static int is_plain(char c)
{
    return c >= ' ' && c < 127 && c != '"' && c != '\\';
}

/* What C writes for a byte that is not plain, as short as can be. */
static void put_escape(struct line *line, unsigned char byte, int digit_follows)
{
    static const char ESCAPED[] = "\"\\\n\t\r\v\f", ESCAPES[] = "\"\\ntrvf";
    const char *escaped = byte != 0 ? strchr(ESCAPED, byte) : NULL;

    put_char(line, '\\');
    if (escaped) {
        put_char(line, ESCAPES[escaped - ESCAPED]);
        return;
    }
    if (digit_follows || byte >= 0100)
        put_char(line, (char)('0' + byte / 0100));
    if (digit_follows || byte >= 010)
        put_char(line, (char)('0' + byte / 010 % 010));
    put_char(line, (char)('0' + byte % 010));
}

void put_escaped(struct line *line, const char *bytes, size_t length)
{
    size_t i = 0, start;

    while (i < length) {
        for (start = i; i < length && is_plain(bytes[i]); i++)
            ;
        put_bytes(line, bytes + start, i - start);
        if (i < length) {
            put_escape(line, (unsigned char)bytes[i],
                       i + 1 < length && bytes[i + 1] >= '0' && bytes[i + 1] <= '9');
            i++;
        }
    }
}

void put_quoted(struct line *line, const char *bytes, size_t length, int more)
{
    put_char(line, '"');
    put_escaped(line, bytes, length);
    put(line, more ? "\"..." : "\"");
}

int write_line(int fd, const struct line *line)
{
    size_t done = 0;

    while (done < line->length) {
        ssize_t n = write(fd, line->text + done, line->length - done);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            /* Somebody has made the terminal non-blocking, perhaps the program. */
            struct pollfd ready = { .fd = fd, .events = POLLOUT };

            poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}
