# Sends marked packets. After the end of this program stand the orders, a line each:
#   NUMBER WAY MARKER ADDRESS PROTOCOL PORT BYTES
# PROTOCOL: icmp, udp, tcp, or user: UDP as every user who runs something here. MARKER is 32 bytes in hexadecimal, BYTES
# the length of the whole IP packet. The payload is the marker, the number and, for `user`, the user's id, 4 bytes each. WAY: inside or beside
# the tunnel. Inside, the checksums of udp and tcp are wrong, and no service that has the port ever sees a canary; beside it
# they are right, for the sake of what lies on the way.
# Prints `sent NUMBER USER` for what the kernel took, `refused NUMBER USER WHY` for what it did not take.
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 unpack_sockaddr_in6);

my %protocol_of = (icmp => 1, icmp6 => 58, udp => 17, tcp => 6);
my ($rounds) = @ARGV;
my ($beside, %socket, %told);

sub checksum {
    my ($sum, $data) = (0, shift);
    $data .= "\0" if length($data) % 2;
    $sum += $_ for unpack "n*", $data;
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

# The address from which the kernel would send to another.
sub source_to {
    my ($family, $address) = @_;
    my $probe;
    socket($probe, $family, SOCK_DGRAM, 0) && connect($probe, place($family, $address, 9)) or return;
    my (undef, $source) = $family == AF_INET ? unpack_sockaddr_in(getsockname $probe) : unpack_sockaddr_in6(getsockname $probe);
    return $source;
}

sub place {
    my ($family, $address, $port) = @_;
    return $family == AF_INET ? pack_sockaddr_in($port, $address) : pack_sockaddr_in6($port, $address);
}

sub with_checksum {
    my ($family, $from, $to, $protocol, $packet, $offset) = @_;
    my $pseudo = $from . $to . ($family == AF_INET ? pack("nn", $protocol, length $packet) : pack("NN", length $packet, $protocol));
    my $sum = checksum($pseudo . $packet) || 0xffff;
    substr($packet, $offset, 2) = pack "n", $beside ? $sum : $sum ^ 0x5555;
    return $packet;
}

sub raw_packet {
    my ($family, $protocol, $from, $to, $port, $payload) = @_;
    my $near = 49152 + int rand 16384;
    if ($protocol == 17) {
        my $udp = pack("nnnn", $near, $port, 8 + length $payload, 0) . $payload;
        return with_checksum($family, $from, $to, 17, $udp, 6);
    }
    if ($protocol == 6) {
        # A SYN that carries data: the first packet of a connection, to every firewall.
        my $tcp = pack("nnNNCCnnn", $near, $port, int rand 4294967296, 0, 0x50, 2, 1024, 0, 0) . $payload;
        return with_checksum($family, $from, $to, 6, $tcp, 16);
    }
    my $echo = pack("CCnnn", $protocol == 1 ? 8 : 128, 0, 0, $near, 1) . $payload;
    substr($echo, 2, 2) = pack "n", checksum($echo) if $protocol == 1;    # the kernel does it for ICMPv6
    return $echo;
}

sub transmit {
    my ($family, $address, $protocol, $port, $bytes, $payload, $user) = @_;
    my $room = $bytes - ($family == AF_INET ? 20 : 40) - ($protocol == 6 ? 20 : 8) - length $payload;
    $payload .= "\0" x ($room > 0 ? $room : 0);
    if ($user || ($beside && $protocol == 17)) {
        my $own;
        # The kernel asks who made the socket. Only root may change back, which the real user still is.
        $> = $user;
        my $made = $> == $user && socket($own, $family, SOCK_DGRAM, 0);
        my $why = $!;
        $> = 0;
        $! = $why;
        return $made && send($own, $payload, 0, place($family, $address, $port));
    }
    my $from = source_to($family, $address) or return;
    unless ($socket{$family, $protocol}) {
        socket($socket{$family, $protocol}, $family, SOCK_RAW, $protocol) or return;
    }
    my $packet = raw_packet($family, $protocol, $from, $address, $port, $payload);
    return send($socket{$family, $protocol}, $packet, 0, place($family, $address, 0));
}

my %seen = map { ((stat)[4] // 0) => 1 } glob "/proc/[0-9]*";
my @users = grep { defined } (sort { $a <=> $b } grep { $_ } keys %seen)[0 .. 31];
my @orders = map { [split] } <DATA>;
for my $round (1 .. $rounds) {
    my $count = 0;
    for my $order (@orders) {
        my ($number, $way, $marker, $text, $name, $port, $bytes) = @$order;
        $beside = $way eq "beside";
        my $family = $text =~ /:/ ? AF_INET6 : AF_INET;
        my $protocol = $protocol_of{$name eq "icmp" && $family == AF_INET6 ? "icmp6" : $name eq "user" ? "udp" : $name};
        for my $user ($name eq "user" ? @users : 0) {
            my $payload = pack("H*", $marker) . pack "NN", $number, $user;
            my $done = transmit($family, inet_pton($family, $text), $protocol, $port, $bytes, $payload, $user);
            my $why = $done ? "" : "$!";
            my $said = $done ? "sent $number $user\n" : "refused $number $user $why\n";
            print $said unless $told{$said}++;
            select undef, undef, undef, 0.01 unless ++$count % 32;
        }
    }
    select undef, undef, undef, 0.1;
}
__END__
