package bench

import rego.v1

# Twenty rules of the kinds that such policies have: methods, paths, scopes, networks, times, names.

default decision := {"allow": false, "reason": "no rule allows it"}

decision := {"allow": true, "reason": reason} if {
	count(denials) == 0
	some reason in allowances
}

is_read if input.call.method in {"GET", "HEAD"}

is_write if input.call.method in {"POST", "PUT", "PATCH", "DELETE"}

at_office if {
	some office in data.offices
	net.cidr_contains(office, input.call.address)
}

reads_orders if {
	is_read
	glob.match("/policy/orders*", ["/"], input.call.path)
}

writes_orders if {
	is_write
	glob.match("/policy/orders/*", ["/"], input.call.path)
}

has_scope(scope) if scope in input.credential.scopes

is_service if input.principal.kind == "service"

is_person if input.principal.kind == "user"

is_live if input.credential.environment == "live"

acts_of(role) := data.roles[role]

allowances contains "services read" if {
	is_service
	reads_orders
	"read" in acts_of("reader")
}

allowances contains "people read" if {
	is_person
	reads_orders
}

allowances contains "writers write from the office" if {
	writes_orders
	at_office
	"change" in acts_of("writer")
}

denials contains "tests stay out" if not is_live

denials contains "nobody erases" if input.call.method == "DELETE"

denials contains "no tenant in the query" if input.call.query.tenant

denials contains "the call is from the future" if input.time < 0

denials contains "debugging is for the office" if {
	input.call.headers["x-debug"]
	not at_office
}
