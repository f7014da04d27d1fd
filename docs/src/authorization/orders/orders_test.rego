package orders_test

import data.orders

test_owner_reads if {
	orders.decision.allow with input as {
		"call": {"method": "GET", "path": "/orders/1"},
		"parameters": {"id": "1"},
		"principal": {"subject": "ann", "roles": []},
	}
		with data.owners as {"1": "ann"}
		with time.now_ns as 1766570400000000000
}

test_clerk_waits_for_the_morning if {
	not orders.decision.allow with input as {
		"call": {"method": "GET", "path": "/orders/1"},
		"parameters": {"id": "1"},
		"principal": {"subject": "eve", "roles": ["clerk"]},
	}
		with time.now_ns as 1766620800000000000
}
