//! A link in the hands of a test.

use super::cluster::Cluster;
use super::error::Error;
use crate::proto::Request;

/// A link of a cluster that is up, or a cable between its switches; see [`Cluster::link`]. What is done to it is refused where no frames pass the
/// harness's switch: on backend `sim` (write a fault in the topology), and for TCP between processes.
#[derive(Clone, Debug)]
pub struct Link<'c> {
    cluster: &'c Cluster,
    name: String,
}

/// One way of a link. Cables between switches have no up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the node to the switch.
    Up,
    /// From the switch to the node.
    Down,
    /// From the end that the file names first to the other.
    AToB,
    /// Back.
    BToA,
}

impl Way {
    fn word(self) -> String {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::AToB => "a-to-b",
            Self::BToA => "b-to-a",
        }
        .to_owned()
    }
}

impl<'c> Link<'c> {
    pub(super) fn new(cluster: &'c Cluster, name: &str) -> Self {
        Self { cluster, name: name.to_owned() }
    }

    /// It carries nothing. The signal stays: nobody is told.
    ///
    /// # Errors
    /// When there is no such link, or none can be cut here.
    pub async fn cut(&self) -> Result<(), Error> {
        let link = self.name.clone();
        self.cluster.act(Request::Cut { link, one_way: None }).await
    }

    /// It carries nothing one way.
    ///
    /// # Errors
    /// As of [`Self::cut`].
    pub async fn cut_way(&self, way: Way) -> Result<(), Error> {
        let link = self.name.clone();
        self.cluster.act(Request::Cut { link, one_way: Some(way.word()) }).await
    }

    /// It is as in the file again.
    ///
    /// # Errors
    /// As of [`Self::cut`].
    pub async fn heal(&self) -> Result<(), Error> {
        self.cluster.act(Request::Heal { link: Some(self.name.clone()) }).await
    }

    /// Changes some of what it does to frames, with the keys and values of a file and `=` for the colon:
    /// `["delay=10ms", "loss=1%"]`. What is not named stays.
    ///
    /// # Errors
    /// As of [`Self::cut`], and for a key or a value that is none.
    pub async fn degrade(&self, changes: &[&str]) -> Result<(), Error> {
        self.change(changes, None).await
    }

    /// The same, one way.
    ///
    /// # Errors
    /// As of [`Self::degrade`].
    pub async fn degrade_way(&self, way: Way, changes: &[&str]) -> Result<(), Error> {
        self.change(changes, Some(way.word())).await
    }

    async fn change(&self, changes: &[&str], direction: Option<String>) -> Result<(), Error> {
        let changes = changes.iter().map(|change| (*change).to_owned()).collect();
        self.cluster.act(Request::Degrade { link: self.name.clone(), direction, changes }).await
    }

    /// Records its frames to a file beside the logs, or stops it.
    ///
    /// # Errors
    /// When no frames pass a switch here.
    pub async fn record(&self, on: bool) -> Result<(), Error> {
        self.cluster.act(Request::Pcap { on, link: Some(self.name.clone()) }).await
    }
}
