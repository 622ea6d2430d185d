//! The messages of [`runtime_bench`] over a plain TCP connection, blocking, with nothing of the runtime:
//! what the rest is compared with.

use anyhow::{Context, Result};
use images_control::Configure;
use runtime_bench::{PAGE, Plan, Report, SHORT, STREAM_PACKETS, Spread, Stream};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Between two attempts to dial.
const REDIAL: Duration = Duration::from_millis(10);

/// One of the two nodes: the one that asks returns what it found.
pub(super) fn measure(configure: &Configure, plan: &Plan) -> Result<Option<Report>> {
    let address = |node: usize| -> Result<SocketAddr> {
        let spec = configure.nodes.get(node).context("a bench is for two nodes")?;
        spec.address.parse().with_context(|| format!("address {} of {}", spec.address, spec.name))
    };
    let patience = Duration::from_micros(configure.runtime.join_timeout_us);
    if configure.node == 0 {
        let listener = TcpListener::bind(address(0)?).context("cannot listen")?;
        ask(accept(&listener, patience)?, plan).map(Some)
    } else {
        answer(dial(address(0)?, patience)?, plan).map(|()| None)
    }
}

/// Waits for the other node, which may not be there yet, and not for ever.
fn accept(listener: &TcpListener, patience: Duration) -> Result<TcpStream> {
    let start = Instant::now();
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock || start.elapsed() > patience => {
                return Err(error).context("the other node does not dial");
            }
            Err(_) => std::thread::sleep(REDIAL),
        }
    }
}

fn dial(address: SocketAddr, patience: Duration) -> Result<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() > patience => {
                return Err(error).with_context(|| format!("cannot dial {address}"));
            }
            Err(_) => std::thread::sleep(REDIAL),
        }
    }
}

/// How many packets of this size a stream has.
fn packets(plan: &Plan, size: usize) -> u64 {
    plan.stream_bytes.div_ceil(size as u64)
}

fn ask(mut stream: TcpStream, plan: &Plan) -> Result<Report> {
    stream.set_nodelay(true)?;
    let mut spread = |count: u32, answer: usize| -> Result<Spread> {
        let (question, mut room) = (vec![1; SHORT], vec![0; answer]);
        let mut samples = Vec::new();
        for round in 0..plan.warm_up + count {
            let start = Instant::now();
            stream.write_all(&question)?;
            stream.read_exact(&mut room)?;
            let took = start.elapsed();
            if round >= plan.warm_up {
                samples.push(nanos(took));
            }
        }
        Ok(Spread::of(samples))
    };
    let round_trip = spread(plan.round_trips, SHORT)?;
    let fetch = spread(plan.fetches, PAGE)?;
    let mut streams = Vec::new();
    for size in STREAM_PACKETS {
        let (packet, count) = (vec![3; size], packets(plan, size));
        let start = Instant::now();
        for _ in 0..count {
            stream.write_all(&packet)?;
        }
        stream.read_exact(&mut [0; SHORT])?;
        let bytes = count * size as u64;
        streams.push(Stream { packet: size, bytes, nanos: nanos(start.elapsed()) });
    }
    Ok(Report { round_trip, fetch, streams, retransmitted: 0 })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn answer(mut stream: TcpStream, plan: &Plan) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut question = [0; SHORT];
    for (count, size) in [(plan.round_trips, SHORT), (plan.fetches, PAGE)] {
        let answer = vec![2; size];
        for _ in 0..plan.warm_up + count {
            stream.read_exact(&mut question)?;
            stream.write_all(&answer)?;
        }
    }
    let mut room = vec![0; 256 * 1024];
    for size in STREAM_PACKETS {
        let mut left = packets(plan, size) * size as u64;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(room.len()).min(room.len());
            match stream.read(&mut room[..most])? {
                0 => anyhow::bail!("the other node closed the connection within a stream"),
                bytes => left -= bytes as u64,
            }
        }
        stream.write_all(&question)?;
    }
    Ok(())
}
