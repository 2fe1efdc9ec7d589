"""Fixtures: servers on free ports in folders of their own."""

import itertools

import pytest

import campus as university
from application import Application
from downstream import Pair
from support import PEOPLE, Server, person


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server with the demonstration data, for tests that keep to entries of their own."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def campus(tmp_path_factory):
    """The server that the applications use."""
    server = university.start(tmp_path_factory.mktemp("campus"))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def make_application(tmp_path_factory, campus):
    """Makes applications with folders of their own, stopped when the tests of the file are over."""
    made = []

    def make(name):
        made.append(Application(tmp_path_factory.mktemp(name), campus))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def application(make_application):
    return make_application("application")


@pytest.fixture
def new_server(tmp_path):
    """Makes servers that the test itself stops, starts and breaks."""
    made = []

    def make(name="own", **options):
        made.append(Server(tmp_path / name, **options))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None:
            one.process.kill()
            one.process.wait()
            one.process.stdout.close()


@pytest.fixture
def configured(new_server):
    """Starts servers with further lines in their configuration."""

    def make(extra="", **options):
        server = new_server(**options)
        server.config.write_text(server.config.read_text() + extra)
        return server.start()

    return make


@pytest.fixture
def pair(new_server, tmp_path):
    """Makes gateways with a slapd behind them."""
    made = []

    def make(**how):
        made.append(Pair(new_server, tmp_path, **how))
        return made[-1]

    yield make
    for one in made:
        one.stop()


_numbers = itertools.count(1)


@pytest.fixture
def uid():
    """A name that no other test uses."""
    return f"test{next(_numbers)}"


@pytest.fixture
def someone(server, uid):
    """A person with a password, gone after the test. Gives the DN."""
    dn = f"uid={uid},{PEOPLE}"
    server.add(person(uid, userPassword="first-password", mail=f"{uid}@valmont.example")).ok()
    yield dn
    server.delete(dn)
