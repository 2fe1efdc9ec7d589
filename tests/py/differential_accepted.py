"""Where this server and slapd 2.5 differ, and who is right."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Listed:
    """The codes of both sides, each with the number of entries found, if any; the clause; and what it
    means here."""

    ours: str
    theirs: str
    clause: str
    reason: str


ACCEPTED = {}


def accept(clause, reason, cases):
    for name, (ours, theirs) in cases.items():
        assert name not in ACCEPTED, name
        ACCEPTED[name] = Listed(ours, theirs, clause, reason)


accept("RFC 4518 2.2", "This server is right: case is folded by RFC 3454 B.2, where sharp s is ss and the final sigma a sigma.", cases={
    "filter (sn=strasse)": ("0/1", "0"),
    "filter (sn=STRASSE)": ("0/1", "0"),
    "filter (description=straße)": ("0/1", "0"),
    "filter (sn=σίσυφος)": ("0/1", "0"),
})
accept("RFC 4511 4.5.1.7.6", "Both are right: how to approximate is left to the server. slapd compares by sound; here it is equality.", cases={
    "filter (cn~=alise marten)": ("0", "0/1"),
})
accept("RFC 4512 4.2", "This server is right: the attribute has that value in every entry, and slapd shows it but does not find it.", cases={
    "filter (subschemaSubentry=cn=subschema)": ("0/61", "0"),
})
accept("RFC 4517 4.2.26", "This server is right: a class by number is the class by name, and slapd finds it in a plain match only.", cases={
    "filter (objectClass:objectIdentifierMatch:=2.5.6.6)": ("0/36", "0"),
})
accept("RFC 4514 2.4", "This server is right: #hexadecimal stands for a value in BER and must be recognised (section 3).", cases={
    "base with a hex string": ("0/1", "34"),
})
accept("RFC 4514 3", "This server is right: quoted values were LDAPv2's, and RFC 4514 has them no more; slapd still reads them.", cases={
    "base quoted as in LDAPv2": ("34", "0/1"),
})
accept("RFC 4511 A.2", "Both are right: a name with an unknown type is well-formed, and there is no such entry; with the empty value no entry can be.", cases={
    "base with an unknown type": ("32", "34"),
    "base with an unknown type among known": ("32", "34"),
    "base no value": ("32", "34"),
})
accept("RFC 4512 5.1", "Both are right: the clause keeps the root DSE out of what is below it, and leaves open what is. Here it is the naming context.", cases={
    "root children": ("0/1", "32"),
})
accept("RFC 4512 3.3", "This server is right: superclasses are added to objectClass. slapd keeps the classes as they were sent.", cases={
    f"attributes {what} of {who}": ("0/1", "0/1") for what in ("abstract class", "objectClass") for who in ("alice", "chloe", "dora")
} | {
    "modify superclass added": ("20 0/7", "0 0/7"),
})
accept("RFC 4512 2.5.3", "This server is right: a type stands for its subtypes, computed ones too. slapd's dynlist forgets the members that it computes.", cases={
    "filter (distinguishedName=*)": ("0/6", "0/5"),
})
accept("RFC 5020 2", "This server is right: entryDN has an equality rule like any other attribute. slapd searches but does not compare it.", cases={
    "compare entry name": ("6", "53"),
})
accept("RFC 4512 4.1.1", "Both are right: the OID names the class as well as its name does. slapd rewrites it, here it stays as it was sent.", cases={
    "add class by number": ("0 0/8", "0 0/8"),
    "modify class added by number": ("0 0/7", "0 0/7"),
})
accept("RFC 4514 2.3", "slapd follows the letter and writes the type's short name; here a name comes back as it was sent. Both match either.", cases={
    "add name by number": ("0 0/8", "0 0/8"),
})
accept("RFC 4511 A.2", "Both are right: an unknown class violates the class rules (65), and its name is no value of the attribute (21).", cases={
    "add unknown class": ("65 0/7", "21 0/7"),
    "add only an unknown class": ("65 0/7", "21 0/7"),
    "add class that is not a name": ("65 0/7", "21 0/7"),
    "modify unknown class added": ("65 0/7", "21 0/7"),
})
accept("RFC 4512 2.5", "Both are right: the attributes of an entry have distinct descriptions, so slapd refuses two of one; here their values are put together.", cases={
    "add attribute by two names": ("0 0/8", "20 0/7"),
    "add same attribute twice": ("0 0/8", "20 0/7"),
})
accept("RFC 4517 3.3.9", "This server is right: the syntax is that of RFC 4514 and asks for no knowledge of the type.", cases={
    "add manager with an unknown type": ("0 0/8", "21 0/7"),
})
accept("RFC 4512 2.5", "Both are right: an option that is not recognized makes the description unrecognized. Here any word is a tagging option, with slapd only language tags.", cases={
    "add unknown option": ("0 0/8", "17 0/7"),
})
accept("RFC 4512 2.5.2", "This server is right: not every option goes with every attribute type; which classes an entry has cannot depend on a language.", cases={
    "add option on the object class": ("17 0/7", "0 0/8"),
})
accept("RFC 4511 A.2", "Both are right: the type is not known (17), and so the name cannot be one (34).", cases={
    "add name with an unknown type": ("17 0/7", "34 0/7"),
    "rename to an unknown type": ("17 0/7", "34 0/7"),
})
accept("RFC 4514 3", "This server is right: the grammar has a type there, without options.", cases={
    "add name with an option": ("34 0/7", "0 0/8"),
})
accept("RFC 4512 2.3.1", "Both are right: an operational attribute cannot be part of a name, whichever rule one counts that to.", cases={
    "add name of an operational type": ("65 0/7", "64 0/7"),
})
accept("RFC 4511 4.7", "This server is right: the superior is not there. slapd says that it knows no other server to ask.", cases={
    "add outside of the suffix": ("32 0/7", "53 0/7"),
    "add beside the suffix": ("32 0/7", "53 0/7"),
})
accept("RFC 4511 4.8", "This server is right: the entry is not there.", cases={
    "delete outside": ("32 0/7", "53 0/7"),
})
accept("RFC 4511 4.9", "This server is right: the new superior does not exist. affectsMultipleDSAs is for what another server holds.", cases={
    "rename move outside": ("32 0/7", "71 0/7"),
})
accept("RFC 4511 4.1.7", "Both are right: no two values of a set may be equal, so the request is wrong; slapd lets it pass.", cases={
    "modify delete a value twice": ("16 0/7", "0 0/7"),
})
accept("RFC 4511 4.6", "Both are right: what is no value of the syntax is no value of the entry either.", cases={
    "modify delete with invalid value": ("16 0/7", "21 0/7"),
})
accept("RFC 4511 4.6", "This server is right: notAllowedOnRDN is the code for it; slapd says namingViolation.", cases={
    "modify rdn value deleted": ("67 0/7", "64 0/7"),
    "modify rdn attribute deleted": ("67 0/7", "64 0/7"),
    "modify rdn value replaced": ("67 0/7", "64 0/7"),
})
accept("RFC 4511 A.2", "Both are right: the change breaks two rules. Here all that is wrong with the attributes comes first, in one message.", cases={
    "modify structural class changed": ("65 0/7", "69 0/7"),
})
accept("RFC 4525 3", "Both are right: constraintViolation or another code that fits.", cases={
    "modify increment by no number": ("19 0/7", "21 0/7"),
})
accept("RFC 4511 4.1.9", "This server is right: noSuchObject names the nearest entry that is there.", cases={
    "rename of nothing below nothing": ("32 0/7", "32 0/7"),
    "rename move below nothing": ("32 0/7", "32 0/7"),
    "password of nobody": ("32 0/7", "32 0/7"),
})
accept("RFC 3062 2", "Both are right: the server checks the old password and says that it failed; invalidCredentials tells the client why.", cases={
    "password, wrong old one": ("0 49 0 0/7", "0 53 0 0/7"),
})
accept("RFC 3296 5.3", "This server is right: the URL gets the scope of the search, and base below a search of one level. slapd keeps a scope that the value has (2.2).", cases={
    "referrals base at a search": ("10", "10"),
    "referrals one at a search": ("10", "10"),
    "referrals one above": ("0/1", "0/1"),
})
accept("RFC 4516 2", "This server is right: an LDAP URL knows base, one and sub. slapd writes subordinate, which a client cannot read.", cases={
    "referrals children at": ("10", "10"),
    "referrals children at two": ("10", "10"),
    "referrals children below": ("10", "10"),
})
accept("RFC 3296 3", "This server is right: under ManageDsaIT no referral comes from a referral object; it is an entry like others, also for what is below.", cases={
    "referrals base below, managed": ("32", "10"),
    "referrals one below, managed": ("32", "10"),
    "referrals sub below, managed": ("32", "10"),
    "referrals children below, managed": ("32", "10"),
    "referral, managed modify below": ("0 32 0/8", "0 10 0/8"),
    "referral, managed add below": ("0 0 0/9", "0 10 0/8"),
    "referral, managed delete below": ("0 32 0/8", "0 10 0/8"),
    "referral, managed move below": ("0 0 0/8", "0 80 0/8"),
})
accept("RFC 3296 5.6.2", "This server is right: affectsMultipleDSAs. slapd says other, or that the entry exists.", cases={
    "referral, move below": ("0 71 0/8", "0 80 0/8"),
    "referral, rename to": ("0 71 0/8", "0 68 0/8"),
})
accept("RFC 2891 2", "This server is right: what cannot be sorted is not found at all if that is critical (case 3), and else comes unsorted (4), with the reason in the control.", cases={
    "sorted by ['noSuchAttribute'], critical": ("12", "16"),
    "sorted by ['noSuchAttribute'], not critical": ("0/26", "16"),
    "sorted by ['uid:noSuchRule'], critical": ("12", "18"),
    "sorted by ['uid:noSuchRule'], not critical": ("0/26", "18"),
    "sorted by ['jpegPhoto'], critical": ("12", "18"),
    "sorted by ['jpegPhoto'], not critical": ("0/26", "18"),
})
accept("RFC 2891 1.1", "slapd follows the letter: these types have no ordering rule. Here the equality rule's normal forms are put in order, since clients ask for it.", cases={
    "sorted by ['employeeNumber'], critical": ("0/26", "18"),
    "sorted by ['employeeNumber'], not critical": ("0/26", "18"),
    "sorted by ['-uid'], critical": ("0/26", "18"),
    "sorted by ['-uid'], not critical": ("0/26", "18"),
})
accept("RFC 2696 3", "Both are right: a search that cannot be resumed gets an error that fits.", cases={
    "paged with a cookie of nowhere": ("53", "2"),
})
accept("MS-ADTS 3.1.1.3.4.1.8", "This server is right: to delete a value that is not there is no error under the control. slapd forgives only absent attributes.", cases={
    "permissive delete absent value": ("0 0/7", "16 0/7"),
})
accept("RFC 4511 4.6", "This server is right: notAllowedOnRDN is the code for it.", cases={
    "permissive delete of the name": ("67 0/7", "64 0/7"),
})
accept("RFC 4528 3", "Both are right: the entry exists, so it cannot be added, and what would be added is not as asserted.", cases={
    f"asserted {filter} refused add": ("68 0/7", "122 0/7") for filter in ("(description=red)", "(description=none)", "(!(noSuchAttribute=x))")
})
