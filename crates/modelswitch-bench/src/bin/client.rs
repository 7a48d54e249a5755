//! A client with the allocator that apps have; see `modelswitch_bench::client`.

fn main() -> Result<(), modelswitch_bench::Failure> {
    modelswitch_bench::client::main(modelswitch_bench::ways::WAYS, None)
}
