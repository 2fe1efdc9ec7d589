"""The import API of 4me (now Xurrent) for people and their contact details, with its state, as its
public pages describe it.

Two things are not in those pages and are this server's own: the text of the log file, and that a
row with filled Source columns which is matched by e-mail takes them on (`clears_source=True` reads
the page to the letter instead, and clears them).
"""

import base64
import csv
import email.parser
import email.policy
import io
import uuid

from service import Refusal, Service

SIZES = {
    "Name": 128, "Primary Email": 128, "Job Title": 80, "Location": 80, "Employee ID": 128, "Authentication ID": 128,
    "Support ID": 50, "Source": 30, "Source ID": 128, "Locale": 5,
}
PEOPLE = set(SIZES) | {
    "ID", "Disabled", "Picture URI", "Organization", "Cost Per Hour", "Manager", "Site", "Information", "Time Zone",
    "Time Format 24h", "Auto Translation", "Do Not Translate Languages", "Work Hours", "VIP", "UI Extension",
    "Custom Data", "Custom Fields", "Created At", "Updated At",
}
CONTACTS = {
    "ID", "Person", "Contact Protocol", "Contact Label", "Contact URI", "Address Label", "Address Address",
    "Address City", "Address State", "Address Zip", "Address Country", "Integration",
}
PROTOCOLS = {"telephone", "email", "website", "chat"}
YES = {"1", "true"}


class RowFault(Exception):
    pass


class FourMe(Service):
    def __init__(self, account="valmont", token="four-token", organizations=("Université de Valmont",),
                 queue_secs=0.1, work_secs=0.1, keep_secs=300, most_failures=None, clears_source=False, burst=20):
        super().__init__()
        self.account, self.token, self.organizations = account, token, set(organizations)
        self.queue_secs, self.work_secs, self.keep_secs = queue_secs, work_secs, keep_secs
        self.most_failures, self.clears_source, self.burst = most_failures, clears_source, burst
        self.imports, self._people, self._contacts, self.numbers = {}, {}, {}, 0

    # What tests look at.

    @property
    def people(self):
        """By Source ID, or by e-mail for those without one."""
        with self.lock:
            self.settle()
            return {p["Source ID"] or p["Primary Email"]: dict(p) for p in self._people.values()}

    def contacts(self, address):
        with self.lock:
            self.settle()
            person = self.by_email(address)
            return [dict(row) for row in self._contacts.get(person["ID"], [])]

    def add_person(self, **columns):
        """Someone who is there already."""
        with self.lock:
            self.numbers += 1
            person = {"ID": str(self.numbers), "Source": "", "Source ID": "", "Disabled": "", **columns}
            self._people[person["ID"]] = person
            return person["ID"]

    # The protocol.

    def answer(self, request):
        match (request.method, request.path.strip("/").split("/")):
            case ("GET", ["logs", token]):
                # A signed address of a file store: our credentials have no business there.
                if request.headers.get("Authorization") or request.query.get("signature") != "s":
                    raise Refusal(403)
                return 200, self.imports[token]["log"].encode(), {}
            case ("GET", ["v1", "me"]):
                self.check(request)
                return 200, {"name": "Gateway"}, {}
            case ("POST", ["v1", "import"]):
                self.check(request)
                return self.accept(request)
            case ("GET", ["v1", "import", token]):
                self.check(request)
                return self.progress(token)
        raise Refusal(404, {"message": "Not Found"})

    def check(self, request):
        basic = base64.b64encode(f"{self.token}:x".encode()).decode()
        if request.headers.get("Authorization") not in (f"Bearer {self.token}", f"Basic {basic}"):
            raise Refusal(401, {"message": "Unauthorized"})
        if self.account not in (request.headers.get("X-4me-Account"), request.headers.get("X-Xurrent-Account")):
            raise Refusal(403, {"message": "Forbidden"})
        if self.windows.count("burst", self.burst, 2):
            raise Refusal(429, {"message": "Too Many Requests"}, Retry_After="2")

    def accept(self, request):
        fields = multipart(request)
        kind, file = fields.get("type", b"").decode(), fields.get("file")
        if kind not in ("people", "people_contact_details") or file is None:
            raise Refusal(422, {"message": "type or file is missing"})
        token = uuid.uuid4().hex[:13]
        start = self.now() + self.queue_secs
        self.imports[token] = {"type": kind, "file": file, "state": "queued", "start": start,
                               "end": start + self.work_secs, "log": "", "line": 0, "message": None,
                               "results": dict.fromkeys(
                                   ("created", "updated", "deleted", "unchanged", "failures", "errors"), 0)}
        return 200, {"token": token}, {}

    def progress(self, token):
        self.settle()
        job = self.imports.get(token)
        if job is None or (job["state"] in ("done", "error") and self.now() >= job["end"] + self.keep_secs):
            raise Refusal(404, {"message": "Not Found"})
        answer = {"state": job["state"]}
        if job["state"] == "processing":
            answer["line"] = job["line"]
        if job["state"] in ("done", "error"):
            answer["results"] = job["results"]
            if job["log"]:
                answer["logfile"] = f"{self.url}/logs/{token}?signature=s"
        if job["message"]:
            answer["message"] = job["message"]
        return 200, answer, {}

    # The import.

    def settle(self):
        now = self.now()
        for job in self.imports.values():
            if job["state"] == "queued" and now >= job["start"]:
                job["state"] = "processing"
            if job["state"] == "processing" and now >= job["end"]:
                job["state"] = self.work(job)

    def work(self, job):
        try:
            text = job["file"].decode("utf-16" if job["file"].startswith(b"\xff\xfe") else "utf-8-sig")
        except UnicodeDecodeError:
            job["message"] = "Invalid byte sequence in UTF-8 on line 2"
            return "error"
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="too many")
        known = PEOPLE if job["type"] == "people" else CONTACTS
        if not set(reader.fieldnames or []) <= known or len(set(reader.fieldnames)) < len(reader.fieldnames):
            job["message"] = "Unknown or repeated column header"
            return "error"
        last, begun = None, {}
        for job["line"], row in enumerate(reader, 2):
            try:
                if job["type"] == "people":
                    did = self.put_person(row)
                else:
                    did, last = self.put_contact(row, last, begun)
                job["results"][did] += 1
            except RowFault as fault:
                job["results"]["failures"] += 1
                job["log"] += f"Line {job['line']}: {fault}\n"
                if self.most_failures is not None and job["results"]["failures"] > self.most_failures:
                    job["message"] = "Too many import failures"
                    return "error"
        return "done"

    def by_email(self, address):
        wanted = (address or "").lower()
        return next((p for p in self._people.values() if p.get("Primary Email", "").lower() == wanted), None)

    def put_person(self, row):
        if "too many" in row or None in row.values():
            raise RowFault("the row has not as many cells as the header")
        for column, most in SIZES.items():
            if len(row.get(column, "")) > most:
                raise RowFault(f"{column} is too long (maximum is {most} characters)")
        person, by_email = self.match(row)
        if person is None and not row.get("Primary Email"):
            raise RowFault("Primary Email can't be blank")
        if person is None and not row.get("Name"):
            raise RowFault("Name can't be blank")
        self.check_references(row, person)
        if person is None:
            self.numbers += 1
            person = {"ID": str(self.numbers), "Source": "", "Source ID": "", "Disabled": ""} | row
            self._people[person["ID"]] = person | {"ID": str(self.numbers)}
            return "created"
        new = person | {column: value for column, value in row.items() if column != "ID"}
        if by_email and self.clears_source and {"Source", "Source ID"} <= set(row):
            new |= {"Source": "", "Source ID": ""}
        same = new == person
        person.update(new)
        return "unchanged" if same else "updated"

    def match(self, row):
        if row.get("ID"):
            if row["ID"] not in self._people:
                raise RowFault("ID could not be found")
            return self._people[row["ID"]], False
        if row.get("Source") and row.get("Source ID"):
            for person in self._people.values():
                if (person["Source"], person["Source ID"]) == (row["Source"], row["Source ID"]):
                    return person, False
        return self.by_email(row.get("Primary Email")), True

    def check_references(self, row, person):
        if row.get("Organization") and row["Organization"] not in self.organizations:
            raise RowFault("Organization could not be found")
        if row.get("Manager") and self.by_email(row["Manager"]) is None:
            raise RowFault("Manager could not be found")
        holder = self.by_email(row.get("Primary Email")) if row.get("Primary Email") else None
        if holder is not None and holder is not person:
            raise RowFault("Primary Email has already been taken")

    def put_contact(self, row, last, begun):
        person = self.by_email(row.get("Person"))
        if person is None:
            raise RowFault("Person could not be found")
        if row.get("Contact URI") and row.get("Contact Protocol") not in PROTOCOLS:
            raise RowFault("Contact Protocol is unknown")
        rows = self._contacts.setdefault(person["ID"], [])
        is_integration = row.get("Integration", "").lower() in YES
        # Rows of one person must be adjacent: a later group of them begins anew.
        if last != person["ID"] or not begun.get(person["ID"]):
            begun[person["ID"]] = True
            rows[:] = [r for r in rows if not (is_integration and r.get("Integration", "").lower() in YES)]
        rows.append(dict(row))
        return "created", person["ID"]


def multipart(request):
    """The parts of a form by name."""
    head = f"Content-Type: {request.headers.get('Content-Type')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    if not message.is_multipart():
        raise Refusal(422, {"message": "multipart/form-data expected"})
    parts = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        parts[name] = part.get_payload(decode=True)
    return parts
