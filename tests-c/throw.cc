// What test_throw.c needs of C++.

#include <exception>
#include <stdexcept>
#include <string>

#include <unotify.h>

namespace {

int destroyed;

struct Witness {
    ~Witness() { destroyed++; }
};

void throw_from_deeper(int depth)
{
    Witness witness;

    if (depth > 0)
        throw_from_deeper(depth - 1);
    throw std::runtime_error(std::string(100, 'x'));
}

} // namespace

extern "C" {

int throw_exception(unotify_notification *, void *)
{
    throw_from_deeper(2);
    return UNOTIFY_HANDLED;
}

void throw_when_told(void *, void *)
{
    throw std::runtime_error("on purpose");
}

int throw_number(unotify_notification *, void *)
{
    throw 42;
}

int answer_and_throw(unotify_notification *n, void *)
{
    unotify_notification_reply_value(n, 7);
    throw_from_deeper(0);
    return UNOTIFY_HANDLED;
}

int free_and_throw(unotify_notification *n, void *)
{
    unotify_notification_free(n);
    throw_from_deeper(0);
    return UNOTIFY_HANDLED;
}

void throw_at_exit(pid_t, void *)
{
    throw_from_deeper(2);
}

int witnesses_destroyed(void)
{
    return destroyed;
}

int exceptions_under_way(void)
{
    return std::current_exception() != nullptr || std::uncaught_exceptions() != 0;
}

} // extern "C"
