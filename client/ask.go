package client

// askLoop asks the server what a connection or a received message gave reason
// to ask: whether the own device list has moved on, and who the people are of
// whom another device has spoken.
func (e *engine) askLoop() {
	for {
		select {
		case <-e.life.Done():
			return
		case <-e.askKick:
		}
		e.mu.Lock()
		l := e.link
		e.mu.Unlock()
		if l == nil {
			continue // the next connection asks
		}
		err := e.refreshOwn(e.life, l)
		if err == nil {
			err = e.getAcquainted(e.life, l)
		}
		if err != nil && e.life.Err() == nil {
			e.log.Warn("a question to the server was put off", "reason", reason(err))
		}
	}
}
