package dimse

import "sync"

// admission counts Associations: all of them, per IP address and per device.
type admission struct {
	mu     sync.Mutex
	total  int
	ip     map[string]int
	device map[string]int
}

func newAdmission() *admission {
	return &admission{ip: map[string]int{}, device: map[string]int{}}
}

// enter takes a place for a connection.
func (a *admission) enter(ip string, maxTotal, maxPerIP int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= maxTotal || a.ip[ip] >= maxPerIP {
		return false
	}
	a.total++
	a.ip[ip]++
	return true
}

func (a *admission) leave(ip string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if a.ip[ip]--; a.ip[ip] == 0 {
		delete(a.ip, ip)
	}
}

// enterDevice takes a place of a device; "" has no limit.
func (a *admission) enterDevice(device string, limit int) bool {
	if device == "" {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.device[device] >= limit {
		return false
	}
	a.device[device]++
	return true
}

func (a *admission) leaveDevice(device string) {
	if device == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.device[device]--; a.device[device] == 0 {
		delete(a.device, device)
	}
}
