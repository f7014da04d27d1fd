//! A permit can't be given another call.
use verdict::Permitted;
use verdict::call::Call;

fn smuggle(mut permit: Permitted<()>, other: Call<()>) -> Permitted<()> {
    permit.call = other;
    permit
}

fn main() {}
