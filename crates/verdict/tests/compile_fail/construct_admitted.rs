//! What a service in this process learns of a caller comes from a permit.
use verdict::call::Arrival;
use verdict::permit::Admitted;

fn admit_myself(arrival: Arrival) -> Admitted {
    Admitted { arrival, identity: None }
}

fn main() {}
