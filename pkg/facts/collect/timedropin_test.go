package collect

import "testing"

func TestChronyDropIn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ conf, want string }{
		"debian":  {"confdir /etc/chrony/conf.d\nsourcedir /run/chrony-dhcp\nsourcedir /etc/chrony/sources.d\n", "/etc/chrony/sources.d/kforge.sources"},
		"one dir": {"sourcedir /run/chrony-dhcp /etc/chrony/sources.d", "/etc/chrony/sources.d/kforge.sources"},
		"confdir": {"server 10.0.0.1\nconfdir /etc/chrony/conf.d", "/etc/chrony/conf.d/kforge.conf"},
		"suse":    {"include /etc/chrony.d/*.conf\n", "/etc/chrony.d/kforge.conf"},
		"rhel":    {"pool 2.rhel.pool.ntp.org iburst\nsourcedir /run/chrony-dhcp\ninclude /etc/site-time.conf\n", ""},
		"comment": {"#sourcedir /etc/chrony/sources.d\n! confdir /etc/chrony/conf.d\n", ""},
		"empty":   {"", ""},
	} {
		if got := chronyDropIn(tt.conf); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
