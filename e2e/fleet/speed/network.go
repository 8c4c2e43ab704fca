package speed

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// cores is how many all that is measured may use: the goals are about so many.
const cores = 2

// hostMTU is what the hosts' facts say of their network card.
const hostMTU = 1500

// inside runs f in a network of its own, where every address of the hosts is
// there, and on a few cores. Programs that f starts are in both too; but only
// those that it starts from its own goroutine.
func inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is never given back: it ends with this goroutine, and what
		// was done to it with it.
		runtime.LockOSThread()
		done <- enter(f)
	}()
	return <-done
}

func enter(f func() error) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network for the fleet (it takes root): %w", err)
	}
	if err := setLoopback(); err != nil {
		return fmt.Errorf("make a network for the fleet: %w", err)
	}
	if err := pin(); err != nil {
		return fmt.Errorf("choose %d cores: %w", cores, err)
	}
	return f()
}

// setLoopback gives the loopback all the hosts' addresses, as it has all of
// 127.0.0.0/8, and the MTU that they tell of.
func setLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	set := func(name string, request uint, fill func(*unix.Ifreq) error) error {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = fill(r)
		}
		if err == nil {
			err = os.NewSyscallError("ioctl", unix.IoctlIfreq(fd, request, r))
		}
		return err
	}
	address := func(b ...byte) func(*unix.Ifreq) error {
		return func(r *unix.Ifreq) error { return r.SetInet4Addr(b) }
	}
	for _, step := range []struct {
		name    string
		request uint
		fill    func(*unix.Ifreq) error
	}{
		{"lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }},
		{"lo", unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(hostMTU); return nil }},
		{"lo:1", unix.SIOCSIFADDR, address(10, 99, 0, 1)},
		{"lo:1", unix.SIOCSIFNETMASK, address(255, 255, 0, 0)},
	} {
		if err := set(step.name, step.request, step.fill); err != nil {
			return err
		}
	}
	return nil
}

// pin leaves the first cores that this process may use.
func pin() error {
	var all, few unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for i := 0; i < 64*len(all) && few.Count() < cores; i++ {
		if all.IsSet(i) {
			few.Set(i)
		}
	}
	return unix.SchedSetaffinity(0, &few)
}
