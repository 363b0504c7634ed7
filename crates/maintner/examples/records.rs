//! Reads runs of bytes with our reader of records and says of each how many records it took, and whether it took all, as the
//! program around the original's does (`interop/reclog`): `cargo xtask interop` compares the two.
//!
//! An input is its length, four bytes little-endian, and its bytes. The answer is a line `RECORDS ok` or `RECORDS error AT` each.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read as _, Write as _};

use maintner::reclog::Records;

fn main() -> io::Result<()> {
    let (mut from, mut to) = (BufReader::new(io::stdin().lock()), BufWriter::new(io::stdout().lock()));
    loop {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(why) if why.kind() == ErrorKind::UnexpectedEof => return to.flush(),
            done => done?,
        }
        let mut input = Vec::new();
        from.by_ref().take(u64::from(u32::from_le_bytes(length))).read_to_end(&mut input)?;
        let (mut records, mut broken) = (0, None);
        for record in Records::new(&input, 0) {
            match record {
                Ok(_) => records += 1,
                Err(why) => broken = Some(why.offset),
            }
        }
        match broken {
            None => writeln!(to, "{records} ok")?,
            Some(at) => writeln!(to, "{records} error {at}")?,
        }
    }
}
