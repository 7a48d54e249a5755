//! A client with the allocator that apps have; see `modelswitch_bench::client`.

mod ways;

fn main() -> Result<(), modelswitch_bench::Failure> {
    modelswitch_bench::client::main(ways::WAYS, None)
}
