# Mounts through fusermount3, receives the FUSE descriptor from it, and executes a command with it as number 4.
# Arguments: mount options, mount point, command and its arguments. Needs nothing but perl-base.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;

my ($options, $mountpoint, @command) = @ARGV;
my %recvmsg = (x86_64 => 47, aarch64 => 212, riscv64 => 212);
my $recvmsg = $recvmsg{(POSIX::uname())[4]} or die "receive-fd: this machine is not known\n";
socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "receive-fd: socketpair: $!\n";
my $pid = fork() // die "receive-fd: fork: $!\n";
if ($pid == 0) {
    fcntl($theirs, F_SETFD, 0);
    $ENV{_FUSE_COMMFD} = fileno($theirs);
    { no warnings; exec('fusermount3', '-o', $options, '--', $mountpoint); }
    die "receive-fd: fusermount3: $!\n";
}
close($theirs);
# struct msghdr with one byte of data and room for one control message that carries one descriptor
my ($byte, $control) = ("\0", "\0" x 32);
my $vector = pack('P Q', $byte, 1);
my $header = pack('Q L x4 P Q P Q i x4', 0, 0, $vector, 1, $control, length($control), 0);
my $received = syscall($recvmsg, fileno($ours), $header, 0);
waitpid($pid, 0);
exit(1) if $? != 0;
my ($length, $level, $type, $fd) = unpack('Q i i i', $control);
die "receive-fd: no descriptor came\n" if $received < 1 || $length != 20 || $level != 1 || $type != 1;
if ($fd != 4) { POSIX::dup2($fd, 4) // die "receive-fd: dup2: $!\n"; POSIX::close($fd); }
exec { $command[0] } @command or die "receive-fd: $command[0]: $!\n";
