"""What commands compile is kept where the user keeps such things, or nowhere."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jax

from clustermodel.cli import _jax

QUESTION = ("catalog", "show", "systems/hgx-h200")


def test_compiled_programs_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _jax.cache_folder() == tmp_path / "clustermodel" / "jax"
    assert (tmp_path / "clustermodel" / "jax").is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _jax.cache_folder() == tmp_path / ".cache" / "clustermodel" / "jax"


def test_without_a_place_to_keep_them_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _jax.cache_folder() is None


def test_a_user_without_a_home_is_answered_all_the_same(monkeypatch):
    def nobody(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert _jax.cache_folder() is None


def test_a_place_that_jax_was_told_stays():
    told = "/somewhere/else"
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", told)
    try:
        _jax.set_up_jax()
        assert jax.config.values["jax_compilation_cache_dir"] == told
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_a_question_asked_before_is_answered_without_the_compilers_warnings(tmp_path):
    """Of what it reads from its own cache the compiler says that it could lead to SIGILL, on many a processor."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TF_CPP_"))}
    ours["XDG_CACHE_HOME"] = str(tmp_path)
    run = [sys.executable, "-m", "clustermodel", *QUESTION, "--quiet"]
    for _ in range(2):
        done = subprocess.run(run, env=ours, capture_output=True, text=True, check=True)
        assert done.stderr == ""
    assert any((tmp_path / "clustermodel" / "jax").iterdir())


def test_what_was_kept_long_ago_is_forgotten(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, new = (_jax.cache_folder() / name for name in ("traced/old", "new"))
    old.parent.mkdir()
    for file, days in ((old, 91), (new, 89)):
        file.write_text("")
        os.utime(file, (time.time() - days * 86_400,) * 2)
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        _jax.set_up_jax()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert new.exists()
    assert not old.exists()


def test_a_program_that_another_command_has_written_in_part_is_compiled_anew_without_a_word(tmp_path):
    """Commands that start together share a cache: every entry cut short stands for what one reads too early."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    script = (
        "from clustermodel.cli._jax import set_up_jax; set_up_jax(); import jax, jax.numpy as jnp\n"
        "print(float(jax.jit(lambda x: jnp.sin(x) * 2)(0.5)))"
    )
    run = lambda: subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    first = run()
    entries = [each for each in tmp_path.rglob("*-cache") if each.is_file()]
    assert entries
    for each in entries:
        each.write_bytes(each.read_bytes()[: each.stat().st_size // 2])
    again = run()
    assert again.stdout == first.stdout
    assert again.stderr == ""
