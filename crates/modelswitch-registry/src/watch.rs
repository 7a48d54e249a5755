//! Reads the configuration again when a file of it changes.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use modelswitch_provider::{Error, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::registry::Registry;

/// Keeps a registry at what its files say, until it is dropped: [`Registry::watch`].
///
/// It keeps the registry alive, so an app that has only taken a client from it may let the registry itself go. Dropping it
/// ends its thread; a reload that is being made is waited for.
#[derive(Debug)]
#[must_use = "dropping it ends the watching"]
pub struct Watch {
    notes: Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

/// How [`Registry::watch_with`] watches.
///
/// ```
/// use std::time::Duration;
/// use modelswitch_registry::WatchOptions;
///
/// let mut options = WatchOptions::default();
/// options.debounce = Duration::from_secs(2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchOptions {
    /// How long it must have been quiet before the files are read. It is waited at most ten times as long.
    pub debounce: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        // Editors and mounts make a handful of changes within some milliseconds; a person doesn't notice a third of a second.
        Self { debounce: Duration::from_millis(300) }
    }
}

impl Registry {
    /// [Reloads](Self::reload) whenever a file changes that the configuration or a key is read from, as long as the guard
    /// is kept. Listen to [`events`](Self::events) to hear of it, and of what is wrong in a file.
    ///
    /// Files may be written in place, replaced by a rename, deleted and made again, or be reached through symbolic links
    /// that are swapped, as Kubernetes does with mounted ConfigMaps and Secrets. What counts is their content: writing
    /// the same again reloads nothing. A file that could be there and isn't, such as `./modelswitch.toml`, is waited for.
    ///
    /// The operating system tells of changes; only where it can't, the files are looked at every two seconds. That is done
    /// in a thread of its own, named `modelswitch-watch`, which reads the files too; no runtime is needed. On file systems
    /// over the network the operating system may tell nothing of changes that are made elsewhere.
    ///
    /// ```no_run
    /// # async fn run() -> modelswitch_provider::Result<()> {
    /// use modelswitch_registry::Registry;
    ///
    /// let registry = Registry::load()?;
    /// let _watch = registry.watch()?;             // until it is dropped
    /// let mut events = registry.events();
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Config`](modelswitch_provider::ErrorKind::Config) when no file is read, or no thread can be started.
    pub fn watch(&self) -> Result<Watch> {
        self.watch_with(WatchOptions::default())
    }

    /// As [`watch`](Self::watch), with other options.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub fn watch_with(&self, options: WatchOptions) -> Result<Watch> {
        if self.current().get().files.is_empty() {
            return Err(Error::config(format!(
                "there is no file to watch: the configuration comes from {}",
                self.source()
            ))
            .with_hint("read it from a file, or call `reload` yourself"));
        }
        let (notes, received) = channel();
        let mut watching = Watching::new(self.clone(), options, received, &notes);
        // Before this returns: a change right afterwards must not be missed.
        watching.point_at_files();
        watching.seen = watching.digest();
        let thread = std::thread::Builder::new().name("modelswitch-watch".to_owned());
        let thread = thread.spawn(move || watching.run()).map_err(|error| {
            Error::config("no thread can be started to watch the configuration").with_source(error)
        })?;
        Ok(Watch { notes, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // If the thread is gone already, nobody receives it.
        let _ = self.notes.send(Note::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread is told.
#[derive(Debug)]
enum Note {
    Stop,
    Event(notify::Result<notify::Event>),
}

/// What the thread knows.
struct Watching {
    registry: Registry,
    debounce: Duration,
    notes: Receiver<Note>,
    /// `None` where the operating system has none to give.
    watcher: Option<RecommendedWatcher>,
    places: Places,
    /// Whether something can't be watched, so that it must be looked at again and again.
    polls: bool,
    /// Whether something has happened since the last look.
    touched: bool,
    /// The files' content at the last look. A hash: there are keys among them.
    seen: u64,
    is_first: bool,
    hasher: RandomState,
}

/// How often files are looked at that can't be watched. One or two small files cost nothing.
const POLL: Duration = Duration::from_secs(2);

impl Watching {
    fn new(registry: Registry, options: WatchOptions, notes: Receiver<Note>, sender: &Sender<Note>) -> Self {
        let sender = sender.clone();
        let watcher = notify::recommended_watcher(move |event| {
            // The thread has ended: nobody wants to know.
            let _ = sender.send(Note::Event(event));
        });
        Self {
            registry,
            debounce: options.debounce,
            notes,
            watcher: watcher.ok(),
            places: Places::default(),
            polls: false,
            touched: false,
            seen: 0,
            is_first: true,
            hasher: RandomState::new(),
        }
    }

    fn run(mut self) {
        // Begins with a look: what changed between reading the files and watching them is found so.
        while self.wait_for_quiet() {
            // After a reload other files may be read than before, which changed before they were watched.
            let look_again = self.look();
            if !look_again && !self.wait() {
                return;
            }
        }
    }

    /// Waits for a change; false when it is time to end.
    fn wait(&mut self) -> bool {
        // What goes on beside the files doesn't put the next look off.
        let next_look = Instant::now() + POLL;
        while !self.touched {
            let note = if self.polls {
                match self.notes.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => return true,
                    note => note.ok(),
                }
            } else {
                self.notes.recv().ok()
            };
            match note {
                None | Some(Note::Stop) => return false,
                Some(Note::Event(event)) => self.touched = self.places.are_touched_by(&event),
            }
        }
        true
    }

    /// Waits until nothing has happened for a while: who writes in place has an empty file first. False when it is time to
    /// end.
    fn wait_for_quiet(&mut self) -> bool {
        let latest = Instant::now() + self.debounce * 10;
        let mut quiet = Instant::now() + self.debounce;
        loop {
            let left = quiet.min(latest).saturating_duration_since(Instant::now());
            match self.notes.recv_timeout(left) {
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) | Ok(Note::Stop) => return false,
                Ok(Note::Event(event)) if self.places.are_touched_by(&event) => {
                    self.touched = true;
                    quiet = Instant::now() + self.debounce;
                }
                Ok(Note::Event(_)) => {}
            }
            if Instant::now() >= latest {
                return true;
            }
        }
    }

    /// Reloads if the files are not what they were, and says whether it did. The first time in any case: what they were
    /// when they were read isn't known.
    fn look(&mut self) -> bool {
        let (touched, first) = (std::mem::take(&mut self.touched), std::mem::take(&mut self.is_first));
        self.point_at_files();
        let seen = self.digest();
        let is_changed = std::mem::replace(&mut self.seen, seen) != seen;
        if !is_changed && !first {
            return false;
        }
        let is_news = touched && is_changed;
        // A failure is told to those who listen, and what counted before still does.
        let _ = self.registry.reload_and_tell(|changes| is_news || !changes.is_empty());
        true
    }

    /// Watches the folders that count by now. Each anew: under the same name may be another folder.
    fn point_at_files(&mut self) {
        let places = Places::of(&self.registry.current().get().files);
        self.polls = match &mut self.watcher {
            Some(watcher) => {
                for folder in &self.places.folders {
                    // One that is gone is no longer watched.
                    let _ = watcher.unwatch(folder);
                }
                let watch = |folder: &PathBuf| watcher.watch(folder, RecursiveMode::NonRecursive).is_err();
                // All of them, even if the first can't be watched.
                let failed: Vec<bool> = places.folders.iter().map(watch).collect();
                failed.contains(&true)
            }
            None => true,
        };
        self.places = places;
    }

    fn digest(&self) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for file in &self.registry.current().get().files {
            file.hash(&mut hasher);
            // A pipe would be waited for.
            let text = file.is_file().then(|| fs::read(file).map(Zeroizing::new).ok());
            text.flatten().as_deref().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Where something must change for the files to change.
#[derive(Debug, Default)]
struct Places {
    folders: BTreeSet<PathBuf>,
    /// What counts in those folders, and their own names.
    names: BTreeSet<OsString>,
}

impl Places {
    fn of(files: &[PathBuf]) -> Self {
        let mut places = Self::default();
        for file in files {
            places.follow(file);
        }
        places
    }

    /// Goes the way to a file, and takes along every symbolic link on it: swapping one changes what the file is, and
    /// nothing happens where it was. If the way ends early, that is where it may go on one day.
    fn follow(&mut self, file: &Path) {
        const MOST_LINKS: usize = 40;
        let Ok(path) = std::path::absolute(file) else { return };
        let parts = |path: &Path| -> Vec<OsString> {
            path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
        };
        let (mut here, mut rest) = (PathBuf::new(), parts(&path));
        let mut links = 0;
        while let Some(part) = rest.pop() {
            let name = match Path::new(&part).components().next() {
                Some(Component::Normal(name)) => name,
                Some(Component::ParentDir) => {
                    here.pop();
                    continue;
                }
                Some(Component::Prefix(_) | Component::RootDir) => {
                    here.push(&part);
                    continue;
                }
                Some(Component::CurDir) | None => continue,
            };
            let next = here.join(name);
            let is_link = fs::symlink_metadata(&next).map(|found| found.is_symlink());
            if rest.is_empty() || !matches!(is_link, Ok(false)) {
                self.add(&here, name);
            }
            match is_link {
                Ok(false) => here = next,
                Ok(true) => {
                    links += 1;
                    let Ok(target) = fs::read_link(&next) else { return };
                    if links > MOST_LINKS {
                        return;
                    }
                    rest.extend(parts(&target));
                }
                Err(_) => return,
            }
        }
    }

    fn add(&mut self, folder: &Path, name: &OsStr) {
        self.names.insert(name.to_owned());
        self.names.extend(folder.file_name().map(OsStr::to_owned));
        self.folders.insert(folder.to_owned());
    }

    /// Whether an event may concern the files. Of what was lost nothing is known.
    fn are_touched_by(&self, event: &notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else { return true };
        // Looking at the files is told, too.
        if event.kind.is_access() && !event.need_rescan() {
            return false;
        }
        event.need_rescan()
            || event.paths.is_empty()
            || event.paths.iter().filter_map(|path| path.file_name()).any(|name| self.names.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change is seen though nothing is told of it, whatever else is told meanwhile.
    fn a_change_is_seen_while(happens: impl Fn(&Sender<Note>)) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("modelswitch.toml");
        let write = |model: &str| {
            let text = format!("[providers.a]\nprofile = 'llamacpp'\n[models]\nfast = 'a/{model}'\n");
            std::fs::write(&file, text).unwrap();
        };
        write("old");
        let registry = Registry::builder().file(&file).environment([]).build().unwrap();
        let (notes, received) = channel();
        let options = WatchOptions { debounce: Duration::from_millis(20) };
        let mut watching = Watching::new(registry.clone(), options, received, &notes);
        watching.watcher = None;
        watching.point_at_files();
        let thread = std::thread::spawn(move || watching.run());
        let watch = Watch { notes, thread: Some(thread) };
        // Let the look go by with which it begins.
        std::thread::sleep(Duration::from_millis(200));
        write("new");
        let late = Instant::now() + Duration::from_secs(30);
        while registry.aliases()[0].1 != "a/new" {
            assert!(Instant::now() < late);
            happens(&watch.notes);
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(watch);
    }

    #[test]
    fn where_the_system_tells_nothing_the_files_are_looked_at() {
        a_change_is_seen_while(|_| {});
    }

    #[test]
    fn what_happens_to_other_files_does_not_put_the_look_off() {
        let other = notify::Event::new(notify::EventKind::Any).add_path("/elsewhere/another".into());
        a_change_is_seen_while(|notes| notes.send(Note::Event(Ok(other.clone()))).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn every_link_on_the_way_is_a_place_to_watch_and_a_way_that_ends_early_too() {
        use std::os::unix::fs::symlink;

        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("real/deep")).unwrap();
        std::fs::write(top.join("real/deep/file"), "").unwrap();
        symlink("real", top.join("link")).unwrap();
        symlink(top.join("link/deep/file"), top.join("far")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        let folders = |path: &str| -> Vec<String> {
            let places = Places::of(&[top.join(path)]);
            let shown = |folder: &PathBuf| folder.strip_prefix(&top).unwrap().display().to_string();
            places.folders.iter().map(shown).collect()
        };
        assert_eq!(folders("real/deep/file"), ["real/deep"]);
        assert_eq!(folders("link/deep/file"), ["", "real/deep"]);
        assert_eq!(folders("real/../far"), ["", "real/deep"]);
        assert_eq!(folders("real/none/file"), ["real"]);
        assert_eq!(folders("loop/file"), [""]);
    }
}
