use super::*;

#[test]
fn the_kernel_is_found_among_the_dependencies() {
    let answer = "linux-image-cloud-amd64\n  Depends: linux-base\n  \
                  Depends: linux-image-6.1.0-56-cloud-amd64\n  Recommends: apparmor\n";
    assert_eq!(first_kernel(answer).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
    assert_eq!(first_kernel("linux-image-cloud-amd64\n  Suggests: linux-image-doc\n"), None);
}

#[test]
fn a_file_that_is_no_kernel_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("text");
    fs::write(&image, "no kernel").unwrap();
    let given = Override { image: Some(image), modules: None };
    let error = fetch(dir.path(), &given).unwrap_err().to_string();
    assert!(error.contains("text is no Linux bzImage"), "{error}");
}

#[test]
fn a_given_kernel_finds_its_modules_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot/vmlinuz");
    fs::create_dir(dir.path().join("boot")).unwrap();
    fs::write(&image, crate::tests::bzimage("9.9-test", b"")).unwrap();
    let given = Override { image: Some(image.clone()), modules: None };

    let error = fetch(dir.path(), &given).unwrap_err().to_string();
    assert!(error.contains("no modules for kernel 9.9-test; looked in "), "{error}");
    assert!(error.contains("KERNEL_MODULES"), "{error}");

    let modules = dir.path().join("lib/modules/9.9-test");
    fs::create_dir_all(&modules).unwrap();
    let kernel = fetch(dir.path(), &given).unwrap();
    assert_eq!(kernel, Kernel { image, modules, version: "9.9-test".into() });
}

#[test]
fn modules_without_a_kernel_are_refused() {
    let given = Override { image: None, modules: Some("/lib/modules".into()) };
    assert!(matches!(fetch(Path::new("/nowhere"), &given), Err(Error::ModulesAlone)));
}

#[test]
fn a_whole_cache_is_used_and_a_damaged_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = in_package(dir.path(), "9.9-test");
    fs::create_dir_all(kernel.image.parent().unwrap()).unwrap();
    fs::create_dir_all(&kernel.modules).unwrap();
    fs::write(&kernel.image, b"kernel").unwrap();
    assert_eq!(cached(dir.path()), None);

    let state =
        Cached { package: "p".into(), version: "9.9-test".into(), image: Part::of(b"kernel") };
    fs::write(dir.path().join("cache.json"), serde_json::to_vec(&state).unwrap()).unwrap();
    assert_eq!(cached(dir.path()), Some(kernel.clone()));

    fs::write(&kernel.image, b"kernal").unwrap();
    assert_eq!(cached(dir.path()), None);
}

#[test]
fn a_missing_tool_is_an_error_with_a_remedy() {
    let error = run("no-such-tool-anywhere", &[], Path::new("/")).unwrap_err().to_string();
    assert!(error.contains("KERNEL=/path/to/bzImage"), "{error}");
}
