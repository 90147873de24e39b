module libunotify/go

go 1.19
