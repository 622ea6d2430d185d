//! How soon clusters are there: Linux guests that boot, Linux guests that are copies, bare-metal guests.

use super::guests::{Guests, hello, ready};
use super::{Hall, MTU};
use crate::backend::Site;
use crate::backend::qemu::Machine;
use crate::plan::image_name;
use anyhow::{Context as _, Result, ensure};
use images_control::ToNode;
use runtime_core::node::Image;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Guests of each kind.
const LINUX: usize = 4;
const METAL: usize = 32;

impl Hall {
    /// All of them, in words.
    pub(super) async fn starts(&self) -> Result<String> {
        let mut text = String::new();
        let mut told = |what: &str, (hello, ready): (Duration, Duration), aim: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{what}: all say hello after {:.2} s, all are ready after {:.2} s{aim}",
                hello.as_secs_f64(),
                ready.as_secs_f64()
            );
        };
        let cold = self.start("start", &self.site, Image::Linux, LINUX).await?;
        told(&format!("{LINUX} Linux guests that boot"), cold, "");
        let (site, build) = self.with_templates().await?;
        let copies = self.start("start", &site, Image::Linux, LINUX).await?;
        std::fs::remove_dir_all(self.templates()).context("cannot remove the template")?;
        let what =
            format!("{LINUX} copies of a Linux guest, which took {:.2} s", build.as_secs_f64());
        told(&what, copies, " (aim 2 s)");
        let metal = self.start("start", &self.site, Image::BareMetal, METAL).await?;
        told(&format!("{METAL} bare-metal guests"), metal, " (aim 4 s)");
        Ok(text)
    }

    /// From nothing to guests that speak, and to guests that see each other. Their names begin with `name`.
    pub(super) async fn start(
        &self,
        name: &str,
        site: &Arc<Site>,
        image: Image,
        count: usize,
    ) -> Result<(Duration, Duration)> {
        let plan = self.plan(name, image, count, MTU)?;
        self.progress.step(0, 0, &format!("{count} {} guests start", image_name(image)));
        let start = Instant::now();
        let mut guests = Guests::boot(site, plan).await?;
        guests.gather(hello).await?;
        let all_hello = start.elapsed();
        for (node, configure) in guests.configures() {
            guests.send(node, &ToNode::Configure(configure));
        }
        guests.gather(ready).await?;
        let all_ready = start.elapsed();
        guests.end().await?;
        Ok((all_hello, all_ready))
    }

    /// The same machines with a template, and how long that took; none that was there before is used.
    async fn with_templates(&self) -> Result<(Arc<Site>, Duration)> {
        let Site { spawner, run_dir, node_program, machine, .. } = &*self.site;
        let machine = machine.as_ref().context("no machine")?.again();
        let kinds = machine.kinds(&self.plan("start", Image::Linux, LINUX, MTU)?.nodes);
        let (spawner, run_dir) = (spawner.clone(), run_dir.clone());
        let machine = Some(machine);
        let mut site = Site::new(spawner, run_dir, node_program.clone(), machine);
        let words = RefCell::new(Vec::new());
        let tell = |text: String| {
            self.progress.step(0, 0, &text);
            words.borrow_mut().push(text);
        };
        let start = Instant::now();
        site.keep_templates(&self.templates(), &kinds, &tell).await;
        let built = start.elapsed();
        let kept = site.machine.as_ref().is_some_and(Machine::has_templates);
        ensure!(kept, "{}", words.into_inner().join("; "));
        Ok((Arc::new(site), built))
    }

    /// Not those of everybody: this one must be built.
    fn templates(&self) -> PathBuf {
        self.site.run_dir.join("templates")
    }
}
