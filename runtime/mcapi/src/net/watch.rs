//! Who sleeps in the memory of its machine does not hear the network: a thread listens there, and rings.

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use runtime_shm::Bell;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// What is told apart: the end, and everything else.
const END: u64 = 1;
const NEWS: u64 = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Arc<Epoll>,
    end: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(bell: Bell) -> io::Result<Self> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let end = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
        epoll.add(&end, EpollEvent::new(EpollFlags::EPOLLIN, END))?;
        let watched = Arc::clone(&epoll);
        let run = move || {
            let mut events = [EpollEvent::empty(); 8];
            loop {
                match watched.wait(&mut events, EpollTimeout::NONE) {
                    Ok(count) if events[..count].iter().any(|event| event.data() == END) => return,
                    Ok(_) | Err(Errno::EINTR) => bell.ring(),
                    Err(errno) => {
                        tracing::warn!(%errno, "nobody listens to the network any more");
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("mcapi-net".into()).spawn(run)?;
        Ok(Self { epoll, end, thread: Some(thread) })
    }

    /// Rings once when one of these has something, also if it has by now.
    pub(super) fn arm<'a>(&self, fds: impl Iterator<Item = PollFd<'a>>) {
        for fd in fds {
            // The two have the same bits.
            let interest = EpollFlags::from_bits_retain(i32::from(fd.events().bits()));
            let flags = interest | EpollFlags::EPOLLONESHOT;
            let mut event = EpollEvent::new(flags, NEWS);
            // One that was closed has left by itself, and a new one may have its number.
            let armed = match self.epoll.modify(fd.as_fd(), &mut event) {
                Err(Errno::ENOENT) => self.epoll.add(fd.as_fd(), event),
                other => other,
            };
            if let Err(errno) = armed {
                tracing::warn!(%errno, "a socket is not watched: what comes there is found late");
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A child that was forked has the descriptor, and not the thread: there this is nothing.
        if self.end.write(1).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ended = thread.join();
        }
    }
}
