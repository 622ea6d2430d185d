use super::*;

/// A module that depends on others: an ELF file with nothing but `.modinfo`.
pub(crate) fn module(depends: &str) -> Vec<u8> {
    let info = format!("license=GPL\0depends={depends}\0name=x\0");
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend_from_slice(&1_u16.to_le_bytes()); // relocatable
    file.extend_from_slice(&62_u16.to_le_bytes());
    file.extend_from_slice(&1_u32.to_le_bytes());
    file.resize(40, 0);
    let sections_at = (64 + info.len() + names.len()).next_multiple_of(8);
    file.extend_from_slice(&(sections_at as u64).to_le_bytes());
    file.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 0, 0, 64, 3, 2] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(info.as_bytes());
    file.extend_from_slice(names);
    file.resize(sections_at + 64, 0);
    for (name, kind, at, size) in
        [(1_u32, 1_u32, 64, info.len()), (10, 3, 64 + info.len(), names.len())]
    {
        file.extend_from_slice(&name.to_le_bytes());
        file.extend_from_slice(&kind.to_le_bytes());
        file.resize(file.len() + 16, 0);
        file.extend_from_slice(&(at as u64).to_le_bytes());
        file.extend_from_slice(&(size as u64).to_le_bytes());
        file.resize(file.len() + 24, 0);
    }
    file
}

fn tree(modules: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, depends) in modules {
        fs::write(dir.path().join(name), module(depends)).unwrap();
    }
    dir
}

fn order(dir: &tempfile::TempDir, wanted: &[&str]) -> Result<Vec<String>, String> {
    let order = load_order(dir.path(), wanted).map_err(|e| e.to_string())?;
    Ok(order.into_iter().map(|m| m.name).collect())
}

#[test]
fn what_is_needed_comes_first_and_once() {
    let dir = tree(&[("a.ko", "b,c"), ("b.ko", "c"), ("c.ko", ""), ("unused.ko", "")]);
    assert_eq!(order(&dir, &["a", "b"]).unwrap(), ["c", "b", "a"]);
}

#[test]
fn hyphens_in_file_names_are_underscores_in_names() {
    let dir = tree(&[("virtio-rng.ko", "net-failover"), ("net_failover.ko", "")]);
    assert_eq!(order(&dir, &["virtio_rng"]).unwrap(), ["net_failover", "virtio_rng"]);
}

#[test]
fn what_is_built_in_needs_no_loading() {
    let dir = tree(&[("a.ko", "virtio")]);
    fs::write(dir.path().join("modules.builtin"), "kernel/drivers/virtio/virtio.ko\n").unwrap();
    assert_eq!(order(&dir, &["a"]).unwrap(), ["a"]);
}

#[test]
fn a_missing_module_is_named() {
    let error = order(&tree(&[("a.ko", "b")]), &["a"]).unwrap_err();
    assert!(error.starts_with("no module b under "), "{error}");
}

#[test]
fn a_packed_or_damaged_module_is_named() {
    let dir = tree(&[]);
    fs::write(dir.path().join("a.ko.xz"), b"").unwrap();
    fs::write(dir.path().join("b.ko"), b"\x7fELF").unwrap();
    let error = order(&dir, &["a"]).unwrap_err();
    assert!(error.contains("a.ko.xz is compressed; unpack it"), "{error}");
    let error = order(&dir, &["b"]).unwrap_err();
    assert!(error.contains("bad module") && error.contains("b.ko"), "{error}");
}
