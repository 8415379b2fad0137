"""How the image is made: once, whole or not at all, by one builder at a time. debootstrap is a stand-in."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.machines.image import STAMP, ImageError, Recipe, find_place, provide_image

RECIPE = Recipe("potato", ("systemd",), "true")

DEBOOTSTRAP = """\
#!/bin/sh
# debootstrap --variant=… --include=… SUITE DIRECTORY
echo "$4" >>"$BUILDS"
mkdir -p "$4" || exit
sleep 0.3
test ! -e "$BUILDS.fail" || { echo 'E: the mirror is down'; exit 1; }
"""


@pytest.fixture(autouse=True)
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets a line for each build."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("debootstrap", DEBOOTSTRAP), ("chroot", "#!/bin/sh\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    return tmp_path / "builds"


def test_it_is_built_once(tmp_path: Path, builds: Path) -> None:
    place = tmp_path / "cache" / "image"
    assert [provide_image(RECIPE, place) for _ in range(2)] == [place, place]
    assert builds.read_text().count("\n") == 1


def test_builders_at_the_same_time_build_it_once(tmp_path: Path, builds: Path) -> None:
    place = tmp_path / "image"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: provide_image(RECIPE, place), range(4)))
    assert (found, builds.read_text().count("\n")) == ([place] * 4, 1)


def test_who_waits_for_another_builder_does_not_wait_for_ever(tmp_path: Path) -> None:
    place = tmp_path / "image"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(provide_image, RECIPE, place)
        while not place.with_name("image.half").exists():
            time.sleep(0.01)
        with pytest.raises(ImageError, match="another process has been building"):
            provide_image(RECIPE, place, seconds=0)
        assert first.result() == place


def test_what_a_killed_builder_left_half_done_is_not_taken_for_an_image(tmp_path: Path) -> None:
    half = tmp_path / "image.half"
    half.mkdir()
    (half / "rubbish").touch()
    made = provide_image(RECIPE, tmp_path / "image")
    assert sorted(one.name for one in made.iterdir()) == [STAMP]


def test_a_failed_build_says_why_and_the_next_one_starts_anew(tmp_path: Path, builds: Path) -> None:
    failing = builds.with_name("builds.fail")
    failing.touch()
    with pytest.raises(
        ImageError, match=r"debootstrap failed with exit status 1:\n    E: the mirror is down"
    ):
        provide_image(RECIPE, tmp_path / "image")
    failing.unlink()
    assert provide_image(RECIPE, tmp_path / "image").exists()


def test_what_is_there_and_is_not_the_image_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    with pytest.raises(ImageError, match="is not the image potato-"):
        provide_image(RECIPE, tmp_path / "image")
    assert list((tmp_path / "image").iterdir()) == []


def test_an_image_that_is_packed_is_what_the_packing_left(tmp_path: Path) -> None:
    recipe = Recipe("potato", ("systemd",), "true", "mv root disk && echo packed >note")
    made = provide_image(recipe, tmp_path / "image")
    assert sorted(one.name for one in made.iterdir()) == sorted(("disk", "note", STAMP))


def test_an_image_on_top_of_another_is_a_copy_with_more_in_it(
    tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIRELOOM_TEST_IMAGE", str(tmp_path / "image"))
    more = Recipe("potato", ("ufw",), "true", base=RECIPE)
    base = provide_image(RECIPE, find_place(RECIPE))
    (base / "etc").mkdir()
    (base / "etc" / "issue").write_text("potato")
    install = '#!/bin/sh\ntest "$3" = -c && shift 4 && echo "$@" >>"$BUILDS.added"\n'
    (tmp_path / "tools" / "chroot").write_text(install)

    made = provide_image(more, tmp_path / "more")
    assert (made / "etc" / "issue").read_text() == "potato"
    assert builds.with_name("builds.added").read_text().split() == ["sh", "ufw"]
    assert (provide_image(RECIPE, base), builds.read_text().count("\n")) == (base, 1)


def test_an_image_on_top_of_another_that_is_not_there_builds_both(
    tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIRELOOM_TEST_IMAGE", str(tmp_path / "image"))
    (tmp_path / "tools" / "chroot").write_text('#!/bin/sh\ncd "$1" && mkdir -p etc\n')
    made = provide_image(replace(RECIPE, base=RECIPE), tmp_path / "more")
    assert ((tmp_path / "image" / STAMP).exists(), (made / STAMP).exists()) == (True, True)
    assert builds.read_text().count("\n") == 1


def test_another_recipe_is_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIRELOOM_TEST_IMAGE", raising=False)
    others = (Recipe("woody", ("systemd",), "true"), Recipe("potato", ("dbus",), "true"))
    others += (replace(RECIPE, pack="mv root disk"), replace(RECIPE, base=RECIPE))
    others += (replace(RECIPE, base=others[0]),)
    assert len({find_place(recipe) for recipe in (RECIPE, *others)}) == 6


def test_the_environment_names_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIRELOOM_TEST_IMAGE", "/srv/image")
    assert find_place(RECIPE) == Path("/srv/image")
