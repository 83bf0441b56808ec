#!/bin/sh
# Runs a command on an instance, and then in a container on it, with the present network as that of
# IMDS. The instance and the container have networks of their own, and the instance forwards packets
# between the container and IMDS. Needs root in the present network.
#
#   container.sh COMMAND...
set -e
unshare --net sleep 60 & instance=$!
unshare --net sleep 60 & container=$!
trap 'kill $instance $container' EXIT
own=$(readlink /proc/self/ns/net)
until [ "$(readlink /proc/$instance/ns/net)" != "$own" ] && [ "$(readlink /proc/$container/ns/net)" != "$own" ]; do
    sleep 0.01
done
on() { process=$1; shift; nsenter --target "$process" --net "$@"; }
# urllib3 uses IPv6 only where a socket can be bound to ::1.
on $instance ip link set lo up
on $container ip link set lo up
ip link add imds type veth peer name eth0 netns $instance
on $instance ip link add docker0 type veth peer name eth0 netns $container
ip address add 10.0.0.1/24 dev imds
ip address add fd00:0::1/64 dev imds nodad
ip link set imds up
on $instance ip address add 10.0.0.2/24 dev eth0
on $instance ip address add fd00:0::2/64 dev eth0 nodad
on $instance ip link set eth0 up
on $instance ip address add 10.0.1.1/24 dev docker0
on $instance ip address add fd00:1::1/64 dev docker0 nodad
on $instance ip link set docker0 up
on $container ip address add 10.0.1.2/24 dev eth0
on $container ip address add fd00:1::2/64 dev eth0 nodad
on $container ip link set eth0 up
ip route add 10.0.1.0/24 via 10.0.0.2
ip route add fd00:1::/64 via fd00:0::2
on $instance ip route add 169.254.169.254/32 via 10.0.0.1
on $instance ip route add fd00:ec2::254/128 via fd00:0::1
on $instance sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
on $container ip route add default via 10.0.1.1
on $container ip -6 route add default via fd00:1::1
on $instance "$@"
on $container "$@"
