"""Reads one list of one kind to its end, page by page, and says how that ended."""

from collections.abc import Callable
from dataclasses import dataclass

from scanner.cluster.client import FORBIDDEN, GONE, JSON, NOT_FOUND, UNAUTHORIZED, Client, RequestError, TooLargeError
from scanner.cluster.decode import Interner, MalformedError, decode_object
from scanner.cluster.pages import Page, decode_page
from scanner.model.coverage import ReadState
from scanner.model.objects import KubeObject
from scanner.model.resources import Resource

#: Objects a page: what kubectl and client-go ask for.
PAGE_SIZE = 500
#: Wait before a list is started again because its continue token has expired: the server is short of memory or time.
RESTART_WAIT_SECONDS = 1.0
#: A list of more pages than this has no end: ten million objects.
MAX_PAGES = 20_000

#: Told after each page: objects so far, and how many are to come if the server says so.
OnPage = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Listing:
    """What came of a list, and how it ended."""

    objects: tuple[KubeObject, ...]
    state: ReadState
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lister:
    """Reads lists from one API server; equal bodies of all of them are shared."""

    client: Client
    interner: Interner

    def read(self, path: str, resource: Resource, on_page: OnPage, *, accept: str = JSON) -> Listing:
        """Read a list to its end.

        A list whose continue token expires (410) is started again once, after a pause; a page that is too large is
        asked for in smaller ones. Whatever else breaks a list off leaves it partial, with the reason: a page is never
        taken for the whole.
        """
        listing = self._pages(path, resource, on_page, accept)
        if isinstance(listing, _Expired):
            self.client.pause(RESTART_WAIT_SECONDS)
            listing = self._pages(path, resource, on_page, accept)
        if isinstance(listing, _Expired):
            return _ended(listing.objects, listing.error)
        return listing

    def read_one(self, path: str, resource: Resource) -> Listing:
        """Read one object, for who may get it and not list it."""
        try:
            raw = self.client.get(path)
            version = f"{resource.group}/{resource.versions[0]}" if resource.group else resource.versions[0]
            found = decode_object(raw, api_version=version, kind=resource.kind, interner=self.interner)
        except RequestError as error:
            # That this one does not exist says nothing of its kind.
            return Listing((), ReadState.COMPLETE) if error.status == NOT_FOUND else _ended((), error)
        except MalformedError as error:
            return Listing((), ReadState.FAILED, str(error))
        return Listing((found,), ReadState.COMPLETE)

    def _pages(self, path: str, resource: Resource, on_page: OnPage, accept: str) -> "Listing | _Expired":
        objects: list[KubeObject] = []
        broken: list[str] = []
        token, limit = "", PAGE_SIZE
        for _ in range(MAX_PAGES):
            try:
                page = self._page(path, resource, token, limit, accept)
            except TooLargeError as error:
                if limit == 1:
                    return _ended(tuple(objects), error)
                limit = max(1, limit // 10)
                continue
            except RequestError as error:
                if error.status == GONE and token:
                    return _Expired(tuple(objects), error)
                return _ended(tuple(objects), error)
            objects += page.items
            broken += page.broken
            on_page(len(objects), page.remaining if page.continue_token else 0)
            if not page.continue_token:
                return _complete(tuple(objects), broken)
            if page.continue_token == token:
                break
            token = page.continue_token
        return _ended(tuple(objects), RequestError("the server gives pages without end"))

    def _page(self, path: str, resource: Resource, token: str, limit: int, accept: str) -> Page:
        query: dict[str, str | int] = {"limit": limit} | ({"continue": token} if token else {})
        query |= {"labelSelector": resource.label_selector} if resource.label_selector else {}
        try:
            return decode_page(self.client.get(path, query, accept=accept), resource, interner=self.interner)
        except MalformedError:
            # Half an answer under a good status: some proxy's doing, and mostly gone the second time.
            self.client.pause(RESTART_WAIT_SECONDS)
        try:
            return decode_page(self.client.get(path, query, accept=accept), resource, interner=self.interner)
        except MalformedError as error:
            raise RequestError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Expired:
    """The continue token has expired in the middle of a list."""

    objects: tuple[KubeObject, ...]
    error: RequestError


def _complete(objects: tuple[KubeObject, ...], broken: list[str]) -> Listing:
    if not broken:
        return Listing(objects, ReadState.COMPLETE)
    others = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return Listing(objects, ReadState.PARTIAL, f"set aside, since it is malformed: {broken[0]}{others}")


def _ended(objects: tuple[KubeObject, ...], error: RequestError) -> Listing:
    """Name how a list ended that did not come to its end."""
    if objects:
        return Listing(objects, ReadState.PARTIAL, f"broke off after {len(objects)} objects: {error.reason}")
    if error.status == NOT_FOUND:
        return Listing((), ReadState.ABSENT)
    is_refused = error.status in {UNAUTHORIZED, FORBIDDEN}
    return Listing((), ReadState.FORBIDDEN if is_refused else ReadState.FAILED, error.reason)
