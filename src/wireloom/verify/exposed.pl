# Knocks at what nobody outside may have an answer of. After the end of this program stand the orders, a line each:
#   NUMBER tcp ADDRESS PORT
#   NUMBER ping ADDRESS
#   NUMBER vxlan WAY ADDRESS PORT VNI MAC OWN_MAC TARGET SOURCE
# A VXLAN frame (RFC 7348) holds a ping from SOURCE to TARGET, addresses in the pod network; its answer comes by the pod
# network. WAY: inside the tunnel it is sent as any datagram; beside it as a frame of the physical device, since this
# machine's own guard would let no such datagram out.
# Prints `said NUMBER WHAT`: open, refused, answered, sent (and no answer), silent, or `failed WHY`.
use strict;
use warnings;
use Errno qw(EINPROGRESS);
use Fcntl qw(F_SETFL O_NONBLOCK);
use Socket qw(:DEFAULT inet_pton inet_ntop pack_sockaddr_in6);

my $patience = 3;    # seconds for all of them
my ($marker, @orders) = (pack("H*", shift @ARGV), map { [split] } <DATA>);
my ($id, %said, %dialled, %raw) = (int rand 65536);

sub checksum {
    my ($sum, $data) = (0, shift);
    $sum += $_ for unpack "n*", $data;
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

sub with_sum {
    my ($packet, $offset) = @_;
    substr($packet, $offset, 2) = pack "n", checksum($packet);
    return $packet;
}

sub place {
    my ($text, $port) = @_;
    my $six = $text =~ /:/;
    my $address = inet_pton($six ? AF_INET6 : AF_INET, $text);
    return ($six ? AF_INET6 : AF_INET, $six ? pack_sockaddr_in6($port, $address) : pack_sockaddr_in($port, $address));
}

sub echo {
    my ($family, $number) = @_;
    my $packet = pack("CCnnn", $family == AF_INET ? 8 : 128, 0, 0, $id, $number) . $marker;
    return $family == AF_INET ? with_sum($packet, 2) : $packet;    # the kernel does it for ICMPv6
}

sub ip_packet {
    my ($protocol, $source, $target, $payload) = @_;
    my $head = pack "CCnnnCCna4a4", 0x45, 0, 20 + length $payload, int rand 65536, 0x4000, 64, $protocol, 0,
        inet_aton($source), inet_aton($target);
    return with_sum($head, 10) . $payload;
}

sub mac { return pack "H12", $_[0] =~ tr/://dr }

sub dial {
    my ($number, $address, $port) = @_;
    my ($family, $place) = place($address, $port);
    socket(my $socket, $family, SOCK_STREAM, 0) or die "$!\n";
    fcntl $socket, F_SETFL, O_NONBLOCK;
    $said{$number} = connect($socket, $place) ? "open" : $! == EINPROGRESS ? "silent" : outcome($!);
    $dialled{$number} = $socket if $said{$number} eq "silent";
}

sub outcome { return $_[0] =~ /refused/i ? "refused" : "failed $_[0]" }

sub icmp {
    my $family = shift;
    socket($raw{$family}, $family, SOCK_RAW, $family == AF_INET ? 1 : 58) or die "$!\n" unless $raw{$family};
    return $raw{$family};
}

sub ping {
    my ($number, $address) = @_;
    my ($family, $place) = place($address, 0);
    send(icmp($family), echo($family, $number), 0, $place) or die "$!\n";
    $said{$number} = "silent";
}

# The device on the way, where that begins, and who is next on it, by what ip says.
sub way {
    my $address = shift;
    my $route = `ip -4 -o route get $address 2>/dev/null`;
    my ($device) = $route =~ / dev (\S+)/ or die "no way there\n";
    my ($source) = $route =~ / src (\S+)/;
    my $next = $route =~ / via (\S+)/ ? $1 : $address;
    my $link = `ip -o link show dev $device 2>/dev/null`;
    my ($index, $own) = $link =~ m{^(\d+): .* link/ether (\S+)}s or die "$device has no address of Ethernet\n";
    for (1 .. 10) {
        return ($index, $source, $own, $1) if `ip -4 neigh show to $next dev $device 2>/dev/null` =~ /lladdr (\S+)/;
        select undef, undef, undef, 0.1;
    }
    die "$next does not say which address of Ethernet it has\n";
}

sub vxlan {
    my ($number, $way, $address, $port, $vni, $mac, $own, $target, $source) = @_;
    my $inner = mac($mac) . mac($own) . pack("n", 0x0800) . ip_packet(1, $source, $target, echo(AF_INET, $number));
    my $packet = pack("CxxxN", 8, $vni << 8) . $inner;
    icmp(AF_INET);
    if ($way eq "inside") {
        socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "$!\n";
        send($socket, $packet, 0, pack_sockaddr_in($port, inet_aton($address))) or die "$!\n";
    } else {
        my ($index, $from, $near, $next) = way($address);
        my $udp = pack("nnnn", 49152 + int rand 16384, $port, 8 + length $packet, 0) . $packet;
        my $frame = mac($next) . mac($near) . pack("n", 0x0800) . ip_packet(17, $from, $address, $udp);
        socket(my $socket, 17, SOCK_RAW, 0) or die "$!\n";    # AF_PACKET, packet(7)
        send($socket, $frame, 0, pack("SniSCCa8", 17, 0x0800, $index, 0, 0, 6, mac($next))) or die "$!\n";
    }
    $said{$number} = "sent";
}

# An echo reply of ours; the head of IPv6 is not told.
sub hear {
    my $family = shift;
    recv($raw{$family}, my $packet, 4096, 0) // return;
    $packet = substr $packet, 4 * (ord($packet) & 15) if $family == AF_INET;
    return if length $packet < 8 + length $marker;
    my ($type, undef, undef, $whose, $number) = unpack "CCnnn", $packet;
    return if $type != ($family == AF_INET ? 0 : 129) || $whose != $id || substr($packet, 8, length $marker) ne $marker;
    $said{$number} = "answered";
}

my %do = (tcp => \&dial, ping => \&ping, vxlan => \&vxlan);
for my $order (@orders) {
    my ($number, $what, @rest) = @$order;
    eval { $do{$what}->($number, @rest); 1 } or $said{$number} = "failed " . $@ =~ s/\s+$//r;
}
my $until = time + $patience;
while ((my $left = $until - time) > 0) {
    my ($read, $write) = ("", "");
    vec($read, fileno $raw{$_}, 1) = 1 for keys %raw;
    vec($write, fileno $dialled{$_}, 1) = 1 for keys %dialled;
    select($read, $write, undef, $left < 0.2 ? $left : 0.2) > 0 or next;
    vec($read, fileno $raw{$_}, 1) && hear($_) for keys %raw;
    for my $number (grep { vec($write, fileno $dialled{$_}, 1) } keys %dialled) {
        $! = unpack "i", getsockopt(delete $dialled{$number}, SOL_SOCKET, SO_ERROR);
        $said{$number} = $! ? outcome($!) : "open";
    }
}
print "said $_ $said{$_}\n" for sort { $a <=> $b } keys %said;
__END__
