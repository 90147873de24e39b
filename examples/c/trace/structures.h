/* Shows what an argument points to. */
#ifndef STRUCTURES_H
#define STRUCTURES_H

#include "arguments.h"

/* Each but the first puts the address instead when it cannot read what is there. */
void put_descriptor(const struct view *view, int descriptor);
void put_path(const struct view *view, uint64_t address);
void put_string(const struct view *view, uint64_t address);
void put_memory(const struct view *view, uint64_t address, uint64_t length);
void put_strings(const struct view *view, uint64_t address);
void put_environment(const struct view *view, uint64_t address);
void put_sockaddr(const struct view *view, uint64_t address, uint64_t length);
void put_message(const struct view *view, uint64_t address);
void put_buffers(const struct view *view, uint64_t address, uint64_t count);
void put_poll_fds(const struct view *view, uint64_t address, uint64_t count);
void put_epoll_event(const struct view *view, uint64_t address);
void put_time(const struct view *view, uint64_t address, int is_narrow);
void put_signal_set(const struct view *view, uint64_t address);
void put_open_how(const struct view *view, uint64_t address, uint64_t size);
void put_clone_args(const struct view *view, uint64_t address, uint64_t size);
void put_option_value(const struct view *view, uint64_t address, uint64_t length);

/* They are flags and a signal. */
void put_clone_flags(struct line *line, uint64_t flags);
void put_signal(struct line *line, int signal);

#endif
