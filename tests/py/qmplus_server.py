"""A QMPlus directory integration (Identum), with its state, as its public reference describes it.

Where the reference is silent this server is strict, so that a client may not rely on luck: what it
says about users who leave, about ends of idle transactions and about 429 is the least that it can.
"""

import datetime
import re
import uuid

from service import Refusal, Service

ROOT = "/api/provisioning/iam"
IDLE_SECS = 24 * 3600
DEPARTMENT_KEYS = {"externalId", "departmentName", "active", "parentExternalId", "cascadeToChildren"}
USER_KEYS = {
    "firstName", "middleName", "lastName", "email", "username", "phoneNumber", "externalId", "active",
    "matchOnField", "mergeAttribute", "overrideDuplicateUserTypes", "userTypes",
}
USER_TYPE_KEYS = {"departmentExternalId", "departmentName", "userTypeId", "userTypeName"}
NEEDED = ("externalId", "email", "firstName", "lastName")


class OperationFault(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class QmPlus(Service):
    def __init__(self, tenant="valmont", tokens=None, user_types=("Employee", "Student"), work_secs=0.2,
                 checkpoints=10, calls=50, lists=100, operations=10_000):
        super().__init__()
        self.tenant = tenant
        # Token to user and roles.
        self.tokens = tokens or {"qm-token": ("gateway", {"PROVISIONING_UPDATE", "PROVISIONING_SEARCH"})}
        self.user_types, self.work_secs = {name: str(n) for n, name in enumerate(user_types, 1)}, work_secs
        self.limits = {"checkpoint": checkpoints, "sync": calls, "list": lists}
        self.most_operations = operations
        self.transactions, self._departments, self._users = {}, {}, {}
        # Operations that took effect, in order: (transaction, entity, externalId).
        self.effects = []

    # What tests look at.

    @property
    def users(self):
        with self.lock:
            self.settle()
            return {key: dict(user) for key, user in self._users.items()}

    @property
    def departments(self):
        with self.lock:
            self.settle()
            return {key: dict(department) for key, department in self._departments.items()}

    def states(self):
        with self.lock:
            self.settle()
            return [t["status"] for t in self.transactions.values()]

    # The protocol.

    def answer(self, request):
        if request.headers.get("auth-tenant-id") != self.tenant or request.headers.get("auth-token") not in self.tokens:
            raise Refusal(401, {"status": False, "message": "Authentication failed",
                                "error": "Invalid or missing auth-token"})
        user, roles = self.tokens[request.headers["auth-token"]]
        role = "PROVISIONING_UPDATE" if request.method == "POST" else "PROVISIONING_SEARCH"
        if role not in roles:
            raise Refusal(403, {"status": False, "message": "Access denied", "error": f"Missing required role: {role}"})
        self.settle()
        if not request.path.startswith(ROOT + "/"):
            raise Refusal(404)
        parts = request.path[len(ROOT) + 1:].split("/")
        match (request.method, parts):
            case ("POST", ["checkpoint"]):
                return self.checkpoint(user)
            case ("POST", [tx, "department" | "user" as entity]):
                return self.queue(tx, entity, request)
            case ("POST", [tx, "commit"]):
                return self.commit(tx)
            case ("GET", ["transaction", tx, "status"]):
                return self.status(tx)
            case ("GET", ["transaction", tx, "operations"]):
                return self.operations(tx, request.query)
            case ("GET", ["transactions"]):
                return self.history(request.query)
            case ("GET", ["department" | "user" as entity]):
                return self.read_back(entity, request.query)
        raise Refusal(404)

    def limit(self, sort):
        wait = self.windows.count(sort, self.limits[sort], 60)
        if wait:
            raise Refusal(429, {"status": False, "message": "Too many requests"})

    def checkpoint(self, user):
        self.limit("checkpoint")
        tx = str(uuid.uuid4())
        self.transactions[tx] = {
            "id": uuid.uuid4().hex[:24], "transactionId": tx, "status": "OPEN", "createdBy": user, "createdOn": stamp(),
            "committedOn": None, "completedOn": None, "operations": [], "touched": self.now(),
        }
        return 200, {"status": True, "transactionId": tx, "message": "Checkpoint created successfully"}, {}

    def find(self, tx):
        if tx not in self.transactions:
            raise invalid("transactionId", "iam.transaction.not_found", f"Transaction with ID {tx} not found")
        return self.transactions[tx]

    def open_one(self, tx):
        transaction = self.find(tx)
        if transaction["status"] != "OPEN":
            raise invalid("transactionId", "iam.transaction.not_open", "Transaction is not open")
        return transaction

    def queue(self, tx, entity, request):
        self.limit("sync")
        transaction, items = self.open_one(tx), request.json()
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise invalid("body", "iam.body.array", "Expected an array of objects")
        if len(transaction["operations"]) + len(items) > self.most_operations:
            raise invalid("body", "iam.transaction.too_many", "Too many operations in one transaction")
        answers = []
        for item in items:
            order = len(transaction["operations"]) + 1
            transaction["operations"].append(
                {"operationId": uuid.uuid4().hex[:24], "orderId": order, "entity": entity, "item": item,
                 "status": "PENDING", "fault": None, "type": None})
            answers.append({"status": True, "transactionId": tx, "orderId": order, "message": f"{entity} queued"})
        transaction["touched"] = self.now()
        return 200, {"status": True, "transactionId": tx, "operationsQueued": len(items), "operations": answers}, {}

    def commit(self, tx):
        self.limit("sync")
        transaction = self.open_one(tx)
        transaction.update(status="COMMITTED", committedOn=stamp(), due=self.now() + self.work_secs)
        return 200, {"status": True, "transactionId": tx, "jobId": uuid.uuid4().hex[:24],
                     "totalOperations": len(transaction["operations"])}, {}

    def status(self, tx):
        self.limit("list")
        transaction = self.find(tx)
        done, failed = counts(transaction)
        return 200, {
            "status": True, "transactionId": tx, "transactionStatus": transaction["status"],
            "totalOperations": len(transaction["operations"]), "completedOperations": done, "failedOperations": failed,
            "createdOn": transaction["createdOn"], "committedOn": transaction["committedOn"],
            "completedOn": transaction["completedOn"],
            "failures": [failure(op) for op in transaction["operations"] if op["status"] == "FAILED"],
        }, {}

    def operations(self, tx, query):
        self.limit("list")
        found = [op for op in self.find(tx)["operations"]
                 if query.get("status", op["status"]) == op["status"]
                 and query.get("entityType", op["entity"]).lower() == op["entity"]]
        page = window(found, query)
        entries = [failure(op) | {"status": op["status"], "orderId": op["orderId"], "entityType": op["entity"].upper()}
                   for op in page]
        return 200, {"status": True, "operations": entries, "total": len(found)}, {}

    def history(self, query):
        self.limit("list")
        found = [t for t in self.transactions.values()
                 if query.get("status", t["status"]) == t["status"]
                 and query.get("createdBy", t["createdBy"]) == t["createdBy"]
                 and query.get("createdAfter", "") <= t["createdOn"] <= query.get("createdBefore", "9")]
        entries = []
        for t in window(list(reversed(found)), query):
            done, failed = counts(t)
            entries.append({"id": t["id"], "transactionId": t["transactionId"], "status": t["status"],
                            "operationCount": len(t["operations"]), "completedCount": done, "failedCount": failed,
                            "createdBy": t["createdBy"], "createdOn": t["createdOn"], "committedOn": t["committedOn"]})
        return 200, {"status": True, "transactions": entries, "totalCount": len(found)}, {}

    def read_back(self, entity, query):
        self.limit("list")
        held = self._departments if entity == "department" else self._users
        wanted = {"true": [True], "false": [False]}.get(query.get("active"), [True, False])
        found = [self.as_read(entity, item) for item in held.values() if item["active"] in wanted]
        return 200, {"status": True, "entries": window(found, query), "total": len(found)}, {}

    def as_read(self, entity, item):
        """Reading names other fields than writing does."""
        out = {key: value for key, value in item.items() if key not in ("externalId", "parentExternalId", "userTypes")}
        out["directoryUniqueIdentifier"] = item["externalId"]
        if entity == "department":
            parent = self._departments.get(item.get("parentExternalId"))
            out["parentDirectoryUniqueIdentifier"] = parent and parent["externalId"]
            out["parentDepartmentId"] = parent and parent["id"]
        else:
            out["userTypes"] = [self.type_as_read(kind) for kind in item["userTypes"]]
        return out

    def type_as_read(self, kind):
        department = self._departments.get(kind.get("departmentExternalId"), {})
        names = {number: name for name, number in self.user_types.items()}
        number = kind.get("userTypeId") or self.user_types.get(kind.get("userTypeName"))
        return {"departmentId": department.get("id"), "departmentName": department.get("departmentName"),
                "userTypeId": number, "userTypeName": names.get(number)}

    # The job behind a commit.

    def settle(self):
        now = self.now()
        for tx in self.transactions.values():
            if tx["status"] == "OPEN" and now - tx["touched"] > IDLE_SECS:
                tx["status"] = "FAILED"
            if tx["status"] == "COMMITTED" and now >= tx["due"] - self.work_secs / 2:
                tx["status"] = "PROCESSING"
            if tx["status"] == "PROCESSING" and now >= tx["due"]:
                self.work(tx)
                tx.update(status="COMPLETED", completedOn=stamp())

    def work(self, tx):
        seen = set()
        # Departments run before users, each in the order in which they were queued.
        for op in sorted(tx["operations"], key=lambda op: (op["entity"] != "department", op["orderId"])):
            key = (op["entity"], op["item"].get("externalId"))
            held = self._departments if op["entity"] == "department" else self._users
            prefix = "DEPT" if op["entity"] == "department" else "USER"
            op["type"] = f"{prefix}_{'UPDATE' if key[1] in held else 'CREATE'}"
            try:
                if key in seen:
                    raise OperationFault("DUPLICATE", "two operations for one externalId")
                seen.add(key)
                self.put_department(op["item"]) if op["entity"] == "department" else self.put_user(op["item"])
                op["status"] = "COMPLETED"
                self.effects.append((tx["transactionId"], *key))
            except OperationFault as fault:
                op.update(status="FAILED", fault=fault, failedOn=stamp())

    def put_department(self, item):
        check_keys(item, DEPARTMENT_KEYS)
        need(item, ("externalId", "departmentName"))
        if not isinstance(item.get("active"), bool):
            raise OperationFault("VALIDATION", "active is required")
        parent, me = item.get("parentExternalId"), item["externalId"]
        if parent is not None and parent not in self._departments:
            raise OperationFault("NOT_FOUND", f"Parent department not found: {parent}")
        above = parent
        while above is not None:
            if above == me:
                raise OperationFault("VALIDATION", "a department cannot be below itself")
            above = self._departments[above].get("parentExternalId")
        old = self._departments.get(me, {"id": uuid.uuid4().hex[:24]})
        self._departments[me] = old | {k: v for k, v in item.items() if k != "cascadeToChildren"} | {
            "parentExternalId": parent}
        if item.get("cascadeToChildren"):
            self.cascade(me, item["active"])

    def cascade(self, parent, active):
        for child in [d for d in self._departments.values() if d.get("parentExternalId") == parent]:
            child["active"] = active
            self.cascade(child["externalId"], active)

    def put_user(self, item):
        check_keys(item, USER_KEYS)
        need(item, NEEDED)
        if not isinstance(item.get("active"), bool):
            raise OperationFault("VALIDATION", "active is required")
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", item["email"]):
            raise OperationFault("DATA_FORMAT", "email is no address")
        self.check_user_types(item.get("userTypes"))
        match_on = item.get("matchOnField", item.get("mergeAttribute", "EXTERNAL_ID"))
        if match_on not in ("EXTERNAL_ID", "EMAIL", "USERNAME"):
            raise OperationFault("DATA_FORMAT", "matchOnField is unknown")
        me = item["externalId"]
        old = self._users.get(me)
        field = {"EMAIL": "email", "USERNAME": "username"}.get(match_on)
        if old is None and field and item.get(field):
            # Whoever is found so takes on the externalId.
            old = next((u for u in self._users.values() if u.get(field, "").lower() == item[field].lower()), None)
        key = old["externalId"] if old else me
        if any(u["email"].lower() == item["email"].lower() for k, u in self._users.items() if k != key):
            raise OperationFault("DUPLICATE", "Email already registered")
        self._users.pop(key, None)
        held = old or {"id": uuid.uuid4().hex[:24]}
        self._users[me] = held | {k: v for k, v in item.items() if k not in ("matchOnField", "mergeAttribute")}

    def check_user_types(self, kinds):
        if not isinstance(kinds, list) or not kinds:
            raise OperationFault("VALIDATION", "userTypes is required")
        names = {d["departmentName"] for d in self._departments.values()}
        for kind in kinds:
            check_keys(kind, USER_TYPE_KEYS)
            department = kind.get("departmentExternalId")
            if department is None and kind.get("departmentName") not in names:
                raise OperationFault("NOT_FOUND", "Department not found")
            if department is not None and department not in self._departments:
                raise OperationFault("NOT_FOUND", f"Department not found: {department}")
            known = kind.get("userTypeId") in self.user_types.values() or kind.get("userTypeName") in self.user_types
            if not known:
                raise OperationFault("NOT_FOUND", "User type not found")


def check_keys(item, known):
    if unknown := set(item) - known:
        raise OperationFault("DATA_FORMAT", f"Unrecognized field {sorted(unknown)[0]}")


def need(item, keys):
    for key in keys:
        if not isinstance(item.get(key), str) or not item[key].strip():
            raise OperationFault("VALIDATION", f"{key} is required")


def counts(tx):
    states = [op["status"] for op in tx["operations"]]
    return states.count("COMPLETED"), states.count("FAILED")


def failure(op):
    item, fault = op["item"], op["fault"]
    name = item.get("departmentName") or f"{item.get('firstName')} {item.get('lastName')}"
    return {
        "operationId": op["operationId"], "operationType": op["type"], "operationAction": (op["type"] or "").split("_")[-1],
        "externalId": item.get("externalId"), "entityName": name, "errorMessage": fault and str(fault),
        "errorType": fault and fault.kind, "failedOn": op.get("failedOn"), "details": {},
    }


def invalid(path, key, message):
    return Refusal(400, {"status": False, "message": message, "errors": [
        {"code": "VALIDATION", "paths": [path], "messages": [{"locale": "US", "message": message, "key": key}]}]})


def window(found, query):
    skip, limit = int(query.get("skip", 0)), min(int(query.get("limit", 50)), 1000)
    return found[skip:skip + limit]


def stamp():
    return datetime.datetime.now().isoformat(timespec="seconds")
