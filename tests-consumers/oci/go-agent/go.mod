module go-agent

go 1.19

require libunotify/go v0.0.0

replace libunotify/go => ../../../bindings/go
