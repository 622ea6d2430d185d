//! Topologies in words.

use std::fmt::Write as _;

/// A relaxation small enough to run many times, with six checkpoints.
pub const LAPLACE: &str =
    "{ workload: laplace, args: { size: 128, iterations: 60, checkpoint-every: 10 } }";
/// State on stack and heap, with six checkpoints on the way down.
pub const RECURSION: &str =
    "{ workload: recursion, args: { depth: 60, items: 64, checkpoint-every: 10 } }";
/// The memory model's litmus tests, with four checkpoints.
pub const LITMUS: &str = "{ workload: litmus, args: { rounds: 1 } }";
/// Everything that must hold on every driver, with four checkpoints and then many in one suite.
pub const CONFORMANCE: &str = "{ workload: conformance }";

/// What the nodes of a cluster run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// Linux, all of them.
    Linux,
    /// No operating system, all of them.
    BareMetal,
    /// Of those that compute, every second one is bare metal, and of the standbys too.
    Mixed,
}

/// A topology file. Nodes are `n0`, `n1`, …: first those that compute, then the standbys.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Name of the cluster.
    pub name: String,
    compute: usize,
    standby: usize,
    images: Images,
    links: Option<String>,
    runtime: Vec<String>,
    checkpoint: Vec<String>,
    run: String,
    faults: Vec<String>,
    expect: Vec<String>,
}

impl Cluster {
    /// A cluster that relaxes a small grid.
    #[must_use]
    pub fn of(compute: usize, standby: usize) -> Self {
        let runtime = ["heartbeat: 100ms", "shared-memory: 4MiB", "heap: 8MiB", "stack: 4MiB"];
        Self {
            name: format!("t{compute}-{standby}"),
            compute,
            standby,
            images: Images::Linux,
            links: None,
            runtime: runtime.map(str::to_owned).to_vec(),
            checkpoint: Vec::new(),
            run: LAPLACE.to_owned(),
            faults: Vec::new(),
            expect: Vec::new(),
        }
    }

    /// Under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Other images than Linux.
    #[must_use]
    pub fn of_images(mut self, images: Images) -> Self {
        self.images = images;
        self
    }

    /// All links are like this, for example `loss: 5%, mtu: 9000`.
    #[must_use]
    pub fn links(mut self, like: &str) -> Self {
        self.links = Some(like.to_owned());
        self
    }

    /// Runs something else.
    #[must_use]
    pub fn runs(mut self, run: &str) -> Self {
        run.clone_into(&mut self.run);
        self
    }

    /// A setting of the runtime, as `key: value`; replaces one with that key.
    #[must_use]
    pub fn with(mut self, setting: &str) -> Self {
        let key = setting.split(':').next().unwrap_or_default();
        self.runtime.retain(|s| s.split(':').next() != Some(key));
        self.runtime.push(setting.to_owned());
        self
    }

    /// Copies of each epoch.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.checkpoint = vec![format!("replicas: {replicas}")];
        self
    }

    /// Kills a node as soon as something is reported.
    #[must_use]
    pub fn kill(mut self, node: &str, at: &str) -> Self {
        self.faults.push(format!("{{ at: {at}, kill: {node} }}"));
        self
    }

    /// Kills a node that stands still at one of its own events.
    #[must_use]
    pub fn kill_held(mut self, node: &str, at: &str) -> Self {
        self.faults.push(format!("{{ at: {at}, kill: {node}, hold: true }}"));
        self
    }

    /// Does something else, for example `corrupt: { node: n2, rank: 1 }`, as soon as something is reported.
    #[must_use]
    pub fn strike(mut self, what: &str, at: &str) -> Self {
        self.faults.push(format!("{{ at: {at}, {what} }}"));
        self
    }

    /// Something must hold in the end.
    #[must_use]
    pub fn expects(mut self, expectation: &str) -> Self {
        self.expect.push(format!("{{ {expectation} }}"));
        self
    }

    /// The result must be that of the sequential program.
    #[must_use]
    pub fn expects_the_right_result(self) -> Self {
        self.expects("result: reference")
    }

    /// Is this node bare metal?
    fn is_bare_metal(&self, node: usize) -> bool {
        let of_role = node.checked_sub(self.compute).unwrap_or(node);
        match self.images {
            Images::Linux => false,
            Images::BareMetal => true,
            Images::Mixed => of_role % 2 == 1,
        }
    }

    /// Who takes over from a node when all standbys are free: the first of its image.
    #[track_caller]
    #[must_use]
    pub fn heir(&self, node: usize) -> String {
        let mut standbys = self.compute..self.compute + self.standby;
        match standbys.find(|s| self.is_bare_metal(*s) == self.is_bare_metal(node)) {
            Some(heir) => format!("n{heir}"),
            None => panic!("nobody can take over from n{node} of {}", self.name),
        }
    }

    /// As a file.
    #[must_use]
    pub fn yaml(&self) -> String {
        let mut text = format!("name: {}\nseed: 11\nnodes:\n", self.name);
        let roles = std::iter::repeat_n("compute", self.compute)
            .chain(std::iter::repeat_n("standby", self.standby));
        // Writing to a string cannot fail.
        for (n, role) in roles.enumerate() {
            let image = if self.is_bare_metal(n) { ", image: bare-metal" } else { "" };
            let _ = writeln!(text, "  n{n}: {{ role: {role}{image} }}");
        }
        if let Some(like) = &self.links {
            let _ = writeln!(text, "switches: {{ sw0: {{}} }}\nlinks:");
            for n in 0..self.compute + self.standby {
                let _ = writeln!(text, "  - {{ between: [n{n}, sw0], {like} }}");
            }
        }
        let _ = writeln!(text, "runtime:");
        for setting in &self.runtime {
            let _ = writeln!(text, "  {setting}");
        }
        if !self.checkpoint.is_empty() {
            let _ = writeln!(text, "  checkpoint: {{ {} }}", self.checkpoint.join(", "));
        }
        let _ = writeln!(text, "run: {}", self.run);
        for (section, items) in [("faults", &self.faults), ("expect", &self.expect)] {
            if !items.is_empty() {
                let _ = writeln!(text, "{section}:");
            }
            for item in items {
                let _ = writeln!(text, "  - {item}");
            }
        }
        text
    }
}
