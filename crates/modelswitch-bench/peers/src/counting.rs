//! A client whose allocator counts. To name the crate is to have its allocator, so the other client doesn't.

use modelswitch_bench::client::Allocated;

mod ways;

fn main() -> Result<(), modelswitch_bench::Failure> {
    modelswitch_bench::client::main(ways::WAYS, Some(count))
}

fn count(run: &mut dyn FnMut()) -> Allocated {
    let counted = allocation_counter::measure(run);
    Allocated { count: counted.count_total, most: counted.bytes_max, left: counted.bytes_current }
}
