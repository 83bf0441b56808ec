"""The pytest plugin, as tests use it."""

import pytest


@pytest.fixture(autouse=True)
def plugin(pytester: pytest.Pytester) -> None:
    """Loads the plugin if the package is not installed, which would load it."""
    pytester.makeconftest("""
        import pytest
        def pytest_configure(config):
            if not config.pluginmanager.has_plugin("imds-emulator"):
                from imds_emulator import pytest_plugin
                if not config.pluginmanager.is_registered(pytest_plugin):
                    config.pluginmanager.register(pytest_plugin, "imds-emulator")
    """)


CLIENT = """
    import boto3, os, pytest
    def key():
        return boto3.Session().get_credentials().access_key
"""


def test_a_test_gets_an_emulator_and_an_environment_of_its_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.setenv("AWS_PROFILE", "other")
    pytester.makepyfile(
        CLIENT
        + """
    def test_first(imds):
        assert key().startswith("ASIA")
        assert imds.count(method="PUT") == 1
        assert "AWS_PROFILE" not in os.environ
    def test_second(imds):
        assert imds.journal() == []
    def test_third():
        assert os.environ["AWS_ACCESS_KEY_ID"] == "AKIAOTHER"
        assert os.environ["AWS_PROFILE"] == "other"
        assert "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" not in os.environ
    """
    )
    monkeypatch.delenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", raising=False)
    pytester.runpytest("-v").assert_outcomes(passed=3)


def test_the_default_session_of_boto3_does_not_keep_credentials(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
    import boto3
    keys = []
    def use(imds):
        keys.append(boto3._get_default_session().get_credentials().access_key)
        assert imds.count(method="PUT") == 1
    def test_first(imds):
        use(imds)
    def test_second(imds):
        use(imds)
        assert keys[0] != keys[1]
    def test_third():
        assert boto3.DEFAULT_SESSION is None
        boto3.setup_default_session(aws_access_key_id="AKIAOTHER", aws_secret_access_key="other")
    def test_fourth(imds):
        use(imds)
    def test_fifth():
        assert boto3.DEFAULT_SESSION.get_credentials().access_key == "AKIAOTHER"
    """)
    pytester.runpytest("-p", "no:randomly").assert_outcomes(passed=5)


def test_the_marker_configures_the_emulator(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
    import pytest
    pytestmark = pytest.mark.imds(role="module", http_tokens="optional")
    def test_module(imds):
        assert imds.instance()["iam"]["role"] == "module"
    @pytest.mark.imds(role="function", config={"instance": {"instance-type": "m5.large"}})
    def test_function(imds):
        assert imds.instance()["iam"]["role"] == "function"
        assert imds.instance()["instance-type"] == "m5.large"
        assert imds.options()["HttpTokens"] == "optional"
    """)
    pytester.runpytest("--strict-markers").assert_outcomes(passed=2)


def test_a_test_fails_if_an_expectation_does_not_hold(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makepyfile(
        CLIENT
        + """
    @pytest.mark.imds(verify=["no_imdsv1", {"min_requests": {"min": 99}}])
    def test_marker(imds):
        key()
    @pytest.mark.imds(verify="max_token_puts=0")
    def test_marker_with_one(imds):
        key()
    def test_expect(imds):
        imds.expect("no_imdsv1", max_token_puts=0)
        key()
    @pytest.mark.imds(verify=["no_imdsv1"])
    def test_holds(imds):
        imds.expect(max_token_puts=1)
        key()
    """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*1 assertion about the requests does not hold*",
            "*holds  no_imdsv1: 0 of 3 requests had no token*",
            '*FAILS  {"min_requests": {"min": 99, "of": {}}}: 3 requests*',
            "*IMDS (the newest 20 requests)*",
            "#1 * 127.0.0.1 PUT /latest/api/token 200 v2 token:none *",
            "FAILED *::test_expect*",
        ]
    )
    assert "pytest_plugin.py" not in result.stdout.str()


def test_the_assertions_of_all_markers_must_hold(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
    import pytest
    pytestmark = pytest.mark.imds(verify=[{"min_requests": {"min": 1}}])
    @pytest.mark.imds(verify="no_forwarded")
    class TestIt:
        @pytest.mark.imds(verify=["no_imdsv1"])
        def test_it(self, imds):
            pass
    """)
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["holds  no_imdsv1*", "holds  no_forwarded*", "FAILS*min_requests*"]
    )


def test_a_test_that_fails_shows_its_requests_and_one_that_is_skipped_does_not(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        CLIENT
        + """
    def test_fails(imds):
        imds.expect(max_token_puts=0)
        key()
        assert False, "mine"
    def test_skips(imds):
        imds.expect(min_requests={"min": 1})
        pytest.skip("later")
    @pytest.mark.xfail(strict=True)
    def test_expected(imds):
        imds.expect(min_requests={"min": 1})
    """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*mine*", "*IMDS (the newest 20 requests)*", "#1 *PUT*"])
    assert "max_token_puts" not in result.stdout.str().replace("imds.expect(max_token_puts=0)", "")


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('("web-server")', "*the marker `imds` has the positional argument 'web-server'*"),
        ('(rôle="x")', "*the marker `imds`:*rôle*"),
        ('(verify=["no_imdsv2"])', "*no_imdsv2*"),
        ('(config={"instances": {}})', "*config: instances: unknown field*"),
    ],
)
def test_an_invalid_marker_is_an_error(
    pytester: pytest.Pytester, marker: str, message: str
) -> None:
    pytester.makepyfile(f"""
    import pytest
    @pytest.mark.imds{marker}
    def test_it(imds):
        pass
    """)
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_parallel_tests_have_emulators_of_their_own(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        CLIENT
        + """
    @pytest.mark.parametrize("number", range(12))
    def test_it(imds, number):
        imds.expect(max_token_puts=1, min_requests={"min": 3})
        imds.fault("slow", "latency", latency="10ms")
        key()
    """
    )
    pytester.runpytest_subprocess("-n", "3").assert_outcomes(passed=12)
