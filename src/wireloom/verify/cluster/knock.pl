# Knocks at doors, all of them side by side. After the end of this program stand the orders, a line each:
#   NUMBER fetch ADDRESS PORT      what is served there, by HTTP: one word
#   NUMBER reach ADDRESS PORT      whether anybody is there: an open port, or a refusal
#   NUMBER resolve NAME FAMILY     the address (4 or 6) of that name below the search domain, by this name server
# Arguments: the name server, and the cluster's domain.
# Prints `said NUMBER ok TEXT` or `said NUMBER failed TEXT`.
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton inet_ntop pack_sockaddr_in6);

my ($server, $domain) = @ARGV;
my $patience = 8;    # seconds for each
$| = 1;

sub place {
    my ($text, $port) = @_;
    my $six = $text =~ /:/;
    my $address = inet_pton($six ? AF_INET6 : AF_INET, $text) or die "no address\n";
    return ($six ? AF_INET6 : AF_INET, $six ? pack_sockaddr_in6($port, $address) : pack_sockaddr_in($port, $address));
}

sub dial {
    my ($family, $place) = place(@_);
    socket(my $socket, $family, SOCK_STREAM, 0) or die "$!\n";
    connect($socket, $place) or die "$!\n";
    return $socket;
}

# A service that was just made is refused until every machine has heard of it.
sub fetch {
    my $until = time + $patience - 2;
    my $socket;
    until ($socket = eval { dial(@_) }) {
        die $@ if $@ !~ /refused|unreachable/i || time >= $until;
        select undef, undef, undef, 0.3;
    }
    syswrite $socket, "GET / HTTP/1.0\r\n\r\n";
    local $/;
    my $text = <$socket> // "";
    $text =~ m{^HTTP/\S+ 200 .*?\r?\n\r?\n(\S+)}s or die "no answer of a probe\n";
    return $1;
}

sub reach {
    return "open" if eval { dial(@_) };
    return "refused" if $@ =~ /refused/i;
    die $@;
}

sub resolve {
    my ($name, $version) = @_;
    $server or die "the pod has no name server\n";
    my ($family, $place) = place($server, 53);
    my $type = $version == 4 ? 1 : 28;
    my $id = int rand 65536;
    my $question = join("", map { chr(length) . $_ } split /\./, "$name.$domain") . "\0" . pack("nn", $type, 1);
    socket(my $socket, $family, SOCK_DGRAM, 0) or die "$!\n";
    connect($socket, $place) or die "$!\n";
    for (1 .. 3) {
        send($socket, pack("nnnnnn", $id, 0x0100, 1, 0, 0, 0) . $question, 0) or die "$!\n";
        my $ready = "";
        vec($ready, fileno $socket, 1) = 1;
        next unless select $ready, undef, undef, 2;
        defined recv($socket, my $answer, 4096, 0) or die "$!\n";
        return read_answer($answer, length $question, $type);
    }
    die "no answer of $server\n";
}

# RFC 1035, section 4.1: the header, the question, then answers that begin with a name.
sub read_answer {
    my ($answer, $asked, $type) = @_;
    my (undef, $flags, undef, $answers) = unpack "nnnn", $answer;
    my $code = $flags & 15;
    die "$server says that there is no such name\n" if $code == 3;
    die "$server can't tell (code $code)\n" if $code;
    my ($at, @found) = (12 + $asked);
    for (1 .. $answers) {
        my $size;
        $at += 1 + $size while ($size = ord substr $answer, $at, 1) && $size < 192;
        $at += $size < 192 ? 1 : 2;
        my ($kind, undef, undef, $length) = unpack "nnNn", substr $answer, $at, 10;
        push @found, inet_ntop($type == 1 ? AF_INET : AF_INET6, substr $answer, $at + 10, $length) if $kind == $type;
        $at += 10 + $length;
    }
    return $found[0] // die "$server knows no address of it\n";
}

my %how = (fetch => \&fetch, reach => \&reach, resolve => \&resolve);
my $running = 0;
for my $order (map { [split] } <DATA>) {
    my ($number, $how, @where) = @$order;
    $running-- if $running >= 64 && wait > 0;
    my $child = fork;
    if (defined $child && $child) { $running++; next }
    local $SIG{ALRM} = sub { die "no answer in $patience s\n" };
    alarm $patience;
    my $text = eval { $how{$how}->(@where) };
    my $why = $@;
    chomp $why;
    print defined $text ? "said $number ok $text\n" : "said $number failed $why\n";
    exit if defined $child;
    alarm 0;
}
1 while wait > 0;
__END__
