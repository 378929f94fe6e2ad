"""What is seen of the server from outside: metrics, access log, traces, samples and drift, all made from `serving.calls.Call`."""
