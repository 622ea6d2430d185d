//! How large bare-metal images are, and how much memory they take at most when they run.

use super::Hall;
use super::guests::{Guests, done, hello, ready};
use super::summary::Size;
use crate::backend::Site;
use crate::paths::Places;
use anyhow::{Context as _, Result};
use images::footprint::{Footprint, measure, peak_kib};
use images_control::bench::Bench;
use images_control::{Run, ToNode};
use runtime_core::node::Image;
use std::path::Path;
use std::sync::Arc;

/// What small networks carry. Most of what a guest uses is buffers for frames of this size.
pub(super) const MTU: u16 = 1_500;
/// Guests that run a program together, or messages between them.
const GUESTS: usize = 2;
/// What the two with shared memory run: a checkpoint at each second iteration.
const PROGRAM: &str = "laplace";
const ARGS: [(&str, &str); 3] = [("size", "128"), ("iterations", "20"), ("checkpoint-every", "2")];

impl Hall {
    /// Both images, with the shared memory and without.
    pub(super) async fn sizes(&self, places: &Places) -> Result<Vec<Size>> {
        let (whole, link) = (places.footprint("whole")?, places.footprint("link")?);
        let what = "with SDSM: a rank of laplace";
        let whole = Size { what, file: file(&whole)?, peak_kib: self.whole(&whole).await? };
        let what = "link and MCAPI: messages";
        let link = Size { what, file: file(&link)?, peak_kib: self.link(&link).await? };
        Ok(vec![whole, link])
    }

    /// The same hall for guests that boot another image.
    fn with(&self, image: &Path) -> Arc<Site> {
        let Site { spawner, run_dir, node_program, machine, .. } = &*self.site;
        let machine = machine.as_ref().map(|machine| machine.with_bare_metal(image.to_owned()));
        let (spawner, run_dir) = (spawner.clone(), run_dir.clone());
        Arc::new(Site::new(spawner, run_dir, node_program.clone(), machine))
    }

    /// Peak of two guests that share memory.
    async fn whole(&self, image: &Path) -> Result<u64> {
        let plan = self.plan("whole", Image::BareMetal, GUESTS, MTU)?;
        self.progress.step(0, 0, "bare-metal guests run a program, for their memory");
        let mut guests = Guests::boot(&self.with(image), plan).await?;
        guests.gather(hello).await?;
        for (node, configure) in guests.configures() {
            guests.send(node, &ToNode::Configure(configure));
        }
        guests.gather(ready).await?;
        let args = ARGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let run = Run { job: 1, workload: PROGRAM.to_owned(), args };
        for node in 0..GUESTS {
            guests.send(node, &ToNode::Run(run.clone()));
        }
        guests.gather(done).await?;
        self.peak(guests).await
    }

    /// Peak of two guests that send each other messages and streams.
    async fn link(&self, image: &Path) -> Result<u64> {
        let ways = Bench::ways(Image::BareMetal).to_vec();
        let bench = Bench { rounds: 100, stream_bytes: 4 << 20, ways };
        let plan = self.plan("link", Image::BareMetal, GUESTS, MTU)?;
        self.progress.step(0, 0, "bare-metal guests send messages, for their memory");
        let mut guests = Guests::boot(&self.with(image), plan).await?;
        self.measure(&mut guests, Image::BareMetal, &bench).await?;
        self.peak(guests).await
    }

    /// Ends the guests. The most that one of them used counts.
    async fn peak(&self, guests: Guests) -> Result<u64> {
        let consoles = guests.consoles();
        guests.end().await?;
        let peaks: Result<Vec<u64>> = consoles.iter().map(|console| read_peak(console)).collect();
        peaks?.into_iter().max().context("there are no guests")
    }
}

fn file(image: &Path) -> Result<Footprint> {
    let bytes = std::fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    measure(&bytes).with_context(|| format!("{} cannot be measured", image.display()))
}

/// What a guest that has ended said of its memory.
fn read_peak(console: &Path) -> Result<u64> {
    let bytes =
        std::fs::read(console).with_context(|| format!("cannot read {}", console.display()))?;
    peak_kib(&String::from_utf8_lossy(&bytes)).with_context(|| {
        format!(
            "a guest ended and did not say how much memory it used: no line \"memory: … KiB at most\" in {}",
            console.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_did_not_say_how_much_memory_it_used_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let console = dir.path().join("console-link-metal-0.log");
        let missing = read_peak(&console).unwrap_err().to_string();
        assert!(missing.contains("cannot read") && missing.contains("link-metal-0"), "{missing}");
        std::fs::write(&console, "understudy: node link-metal-0 listens\r\n").unwrap();
        let silent = read_peak(&console).unwrap_err().to_string();
        assert!(silent.contains("did not say") && silent.contains("link-metal-0"), "{silent}");
        std::fs::write(&console, "memory: 2044 KiB at most\r\n").unwrap();
        assert_eq!(read_peak(&console).unwrap(), 2_044);
    }
}
