use std::fs;

use super::{Folder, Images, Intents, Pods, row};
use crate::{
    Store, Writer,
    disk::{FileDisk, Flush},
    setup::Place,
};

fn boot(folder: &Folder, boot: &str) -> Store {
    let meta = FileDisk::lock(&folder.meta(), Flush::ToDisk).unwrap();
    let state = FileDisk::lock(&folder.state(), Flush::ToKernel).unwrap();
    Store::open_place(Place { meta, state, boot: boot.into() }).unwrap()
}

fn fill(store: &Store) {
    store.write_durable(|w| w.put::<Images>("a/image", &row("image"))).unwrap();
    let change = |w: &mut Writer<'_>| {
        w.put::<Pods>("a/pod", &row("pod"))?;
        w.put::<Pods>("a/gone", &row("gone"))?;
        w.put::<Intents>("a/intent", &row("intent"))
    };
    store.write_crash(change).unwrap();
    store.write_crash(|w| w.delete::<Pods>("a/gone")).unwrap();
}

#[test]
fn after_a_reboot_the_copied_rows_are_of_the_previous_boot() {
    let folder = Folder::new();
    let store = boot(&folder, "one");
    assert_eq!(store.previous_boot_id(), None);
    fill(&store);
    drop(store);

    let store = boot(&folder, "two");
    assert_eq!(store.previous_boot_id(), Some("one"));
    assert!(store.read(|r| r.list::<Pods>("")).unwrap().is_empty());
    assert!(store.read(|r| r.list::<Intents>("")).unwrap().is_empty(), "stale even where /run is on a disk");
    assert_eq!(store.read(|r| r.list::<Images>("")).unwrap().len(), 1);
    assert_eq!(store.previous_boot::<Pods>().unwrap(), [("a/pod".to_owned(), row("pod"))]);
    assert!(store.previous_boot::<Intents>().unwrap().is_empty(), "not copied");
    store.write_crash(|w| w.put::<Pods>("a/new", &row("new"))).unwrap();
    drop(store);

    // Not dealt with yet: a third boot adds to it.
    let store = boot(&folder, "three");
    let keys = |store: &Store| -> Vec<String> {
        store.previous_boot::<Pods>().unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(&store), ["a/new", "a/pod"]);
    store.forget_previous_boot::<Pods>(vec!["a/pod".into()]).unwrap();
    drop(store);
    let store = boot(&folder, "three");
    assert_eq!(keys(&store), ["a/new"]);
    assert_eq!(store.previous_boot_id(), Some("two"));
}

#[test]
fn the_copy_of_a_killed_daemon_is_caught_up() {
    let folder = Folder::new();
    let store = boot(&folder, "one");
    fill(&store);
    drop(store);
    // What a daemon killed within the second leaves: a state file ahead of its copy.
    let db = redb::Database::open(folder.state()).unwrap();
    let txn = db.begin_write().unwrap();
    let pods = redb::TableDefinition::<&str, &[u8]>::new("copied.pods");
    let mut table = txn.open_table(pods).unwrap();
    table.remove("a/pod").unwrap();
    table.insert("a/late", br#"{"text":"late","field-of-a-newer-version":1}"#.as_slice()).unwrap();
    drop(table);
    txn.commit().unwrap();
    drop(db);

    drop(boot(&folder, "one"));
    let store = boot(&folder, "two");
    let pods = store.previous_boot::<Pods>().unwrap();
    assert_eq!(pods, [("a/late".to_owned(), super::Row { text: "late".into(), number: 0 })]);
}

#[test]
fn a_state_file_lost_within_a_boot_is_written_again() {
    let folder = Folder::new();
    let store = boot(&folder, "one");
    fill(&store);
    drop(store);
    fs::remove_file(folder.state()).unwrap();
    let store = boot(&folder, "one");
    assert_eq!(store.read(|r| r.list::<Pods>("")).unwrap(), [("a/pod".to_owned(), row("pod"))]);
    assert!(store.previous_boot::<Pods>().unwrap().is_empty());
}

#[test]
fn a_broken_state_file_of_an_earlier_boot_does_not_matter() {
    let folder = Folder::new();
    drop(boot(&folder, "one"));
    fs::write(folder.state(), "half a page").unwrap();
    boot(&folder, "two").write_crash(|w| w.put::<Pods>("a/pod", &row("pod"))).unwrap();
}

#[test]
fn the_copy_is_made_without_being_asked_and_by_copy_now() {
    let folder = Folder::new();
    let store = boot(&folder, "one");
    let before = store.flushes();
    store.write_crash(|w| w.put::<Intents>("a/intent", &row("intent"))).unwrap();
    store.copy_now().unwrap();
    assert_eq!(store.flushes(), before, "nothing to copy");
    store.write_crash(|w| w.put::<Pods>("a/pod", &row("pod"))).unwrap();
    store.copy_now().unwrap();
    assert_eq!(store.flushes(), before + 1);
    // And by the thread: the promise is a second, the wait is generous and ends with the event.
    store.write_crash(|w| w.put::<Pods>("a/pod", &row("pod again"))).unwrap();
    let begun = std::time::Instant::now();
    while store.flushes() == before + 1 {
        assert!(begun.elapsed().as_secs() < 20, "never copied");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}
