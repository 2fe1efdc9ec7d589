#!/usr/bin/perl
# What Perl's Net::LDAP sees: one line "case<TAB>result" for each case of tests/py/test_clients.py.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8 decode_utf8);
use Net::LDAP;
use Net::LDAP::Control;
use Net::LDAP::Extension::SetPassword;
use Net::LDAP::Extension::WhoAmI;

my ($ldap_uri, $ldaps_uri, $ca, $base, $admin, $password) = @ENV{qw(URI LDAPS_URI CA BASE ADMIN PASSWORD)};
my %cases;
my @order;
my $conn;

sub case { my ($name, $run) = @_; push @order, $name; $cases{$name} = $run; }
sub code { return $_[0]->code; }
sub joined { return join '|', sort @_; }
sub names { return joined(map { my ($rdn) = $_->dn =~ /^([^,]*)/; $rdn =~ s/^[^=]*=//; $rdn } $_[0]->entries); }
sub found { return names($conn->search(base => $base, filter => $_[0])); }
sub entry { my ($dn, @attrs) = @_; return $conn->search(base => $dn, scope => 'base', filter => '(objectClass=*)', attrs => \@attrs)->entry(0); }
sub values_of { my ($dn, $attr) = @_; my $entry = entry($dn, $attr); return $entry ? joined($entry->get_value($attr)) : 'none'; }
sub connect_to { my ($uri, %how) = @_; return Net::LDAP->new($uri, timeout => 30, %how) || die "connect: $@"; }
sub bound { my $c = connect_to($ldap_uri); my $r = $c->bind($_[0], password => $_[1]); return ($c, $r); }
sub person {
    my ($uid, %more) = @_;
    my $dn = (delete $more{dn}) // "uid=$uid,$base";
    return $conn->add($dn, attrs => [objectClass => 'inetOrgPerson', uid => $uid, cn => "Person $uid", sn => $uid, %more]);
}

case bind_simple => sub { my ($c, $r) = bound($admin, $password); $conn = $c; code($r) };
case bind_wrong_password => sub { my ($c, $r) = bound($admin, 'wrong'); code($r) };
case bind_unknown_name => sub { my ($c, $r) = bound("cn=nobody,$base", 'wrong'); code($r) };
case bind_invalid_name => sub { my ($c, $r) = bound("no name", 'wrong'); code($r) };
case bind_without_password => sub { my $c = connect_to($ldap_uri); code($c->bind($admin, noauth => 1)) };
case bind_anonymous => sub { my $c = connect_to($ldap_uri); my $r = $c->bind; code($r) . ' ' . $c->who_am_i->response };
case failed_bind_is_anonymous => sub { my ($c) = bound($admin, $password); $c->bind($admin, password => 'wrong'); $c->who_am_i->response };
case starttls => sub {
    my $c = connect_to($ldap_uri);
    my $r = $c->start_tls(verify => 'require', cafile => $ca);
    return code($r) unless $r->code == 0;
    $c->bind($admin, password => $password);
    return $c->who_am_i->response;
};
case starttls_twice => sub { my $c = connect_to($ldap_uri); $c->start_tls(verify => 'require', cafile => $ca); code($c->start_tls) };
case starttls_other_authority => sub {
    my $c = connect_to($ldap_uri);
    my $r = eval { $c->start_tls(verify => 'require', cafile => '/etc/ssl/certs/ca-certificates.crt') };
    return !$r || $r->code ? 'refused' : 'accepted';
};
case ldaps => sub { my $c = connect_to($ldaps_uri, verify => 'require', cafile => $ca); $c->bind($admin, password => $password); $c->who_am_i->response };

case add => sub {
    join ' ', code($conn->add($base, attrs => [objectClass => 'organizationalUnit', ou => 'clients'])),
        map { code($_) } person('one', mail => ['one@example.org', 'first@example.org'], employeeNumber => '7', userPassword => 'first-password'),
        person('two', description => '(a*b)\\c'), person('three', manager => "uid=one,$base"),
        $conn->add("ou=below,$base", attrs => [objectClass => 'organizationalUnit', ou => 'below']),
        $conn->add("uid=four,ou=below,$base", attrs => [objectClass => ['top', 'inetOrgPerson'], uid => 'four', cn => 'Person four', sn => 'four']);
};
case add_existing => sub { code(person('one')) };
case add_without_parent => sub { my $r = $conn->add("uid=x,ou=none,$base", attrs => [objectClass => 'inetOrgPerson', uid => 'x', cn => 'x', sn => 'x']); code($r) . ' ' . $r->dn };
case add_without_must => sub { code($conn->add("uid=x,$base", attrs => [objectClass => 'inetOrgPerson', uid => 'x', cn => 'x'])) };
case add_unknown_attribute => sub { code(person('x', noSuchAttribute => 'x')) };
case add_invalid_name => sub { code(person('x', dn => 'uid=x,,')) };

case search_base => sub { names($conn->search(base => $base, scope => 'base', filter => '(objectClass=*)')) };
case search_one => sub { names($conn->search(base => $base, scope => 'one', filter => '(objectClass=*)')) };
case search_sub => sub { found('(objectClass=*)') };
case search_no_such_base => sub { my $r = $conn->search(base => "ou=none,ou=below,$base", filter => '(objectClass=*)'); code($r) . ' ' . $r->dn };
case filter_equality => sub { found('(UID=One)') };
case filter_and_or_not => sub { found('(&(objectClass=person)(|(uid=one)(uid=two)(uid=three))(!(uid=two)))') };
case filter_substring => sub { found('(cn=per*n t*)') };
case filter_present => sub { found('(mail=*)') };
case filter_order => sub { found('(&(uid=*)(createTimestamp>=20200101000000Z)(createTimestamp<=99991231235959Z))') };
case filter_approx => sub { found('(cn~=person ONE)') };
case filter_extensible => sub { found('(sn:caseExactMatch:=one)') };
case filter_extensible_dn => sub { found('(ou:dn:=below)') };
case filter_escapes => sub { found('(description=\28a\2ab\29\5cc)') };
case filter_supertype => sub { found('(name=person one)') };
case filter_unknown => sub { found('(|(noSuchAttribute=x)(uid=one))') };
case filter_not_unknown => sub { found('(!(noSuchAttribute=x))') };
case filter_absolute => sub { found('(&)') . ' ' . found('(|)') };
case attributes_listed => sub { joined(map { lc } entry("uid=one,$base", qw(cn MAIL))->attributes) };
case attributes_none => sub { joined(entry("uid=one,$base", '1.1')->attributes) };
case attributes_operational => sub { my %a = map { lc($_) => 1 } entry("uid=one,$base", '+')->attributes; joined(grep { $a{$_} } qw(cn entryuuid creatorsname structuralobjectclass)) };
case attributes_of_class => sub { joined(map { lc } entry("uid=one,$base", '@person')->attributes) };
case types_only => sub {
    my $e = $conn->search(base => "uid=one,$base", scope => 'base', filter => '(objectClass=*)', attrs => ['cn', 'sn'], typesonly => 1)->entry(0);
    return joined(map { $_ . '=' . scalar(@{[$e->get_value($_)]}) } $e->attributes);
};
case size_limit => sub { my $r = $conn->search(base => $base, filter => '(objectClass=person)', sizelimit => 2); code($r) . ' ' . $r->count };
case root_dse => sub { my $d = $conn->root_dse; joined($d->get_value('namingContexts')) . ' ' . joined($d->get_value('supportedLDAPVersion')) };
case schema => sub {
    my $s = $conn->schema or return 'none';
    my ($sup) = @{ $s->attribute('cn')->{sup} // [] };
    return join ' ', joined(map { $_->{name} } $s->must('person')), $s->attribute('uid')->{oid}, $sup, $s->objectclass('inetOrgPerson') ? 'class' : 'none';
};

case binary => sub {
    my $bytes = pack 'C*', 0xff, 0xd8, 0, 10, 13, 255, 0, 128;
    my $r = $conn->modify("uid=one,$base", add => { jpegPhoto => $bytes });
    return code($r) . ' ' . unpack 'H*', entry("uid=one,$base", 'jpegPhoto')->get_value('jpegPhoto');
};
case large_value => sub {
    my $bytes = join '', map { pack 'N', $_ } 1 .. 250_000;
    my $r = $conn->modify("uid=two,$base", replace => { jpegPhoto => $bytes });
    my $back = entry("uid=two,$base", 'jpegPhoto')->get_value('jpegPhoto');
    return code($r) . ' ' . ($back eq $bytes ? 'same' : 'different');
};
case non_ascii => sub {
    my $dn = "cn=Élodie Œuvre 日本,$base";
    my $r = $conn->add($dn, attrs => [objectClass => 'person', cn => 'Élodie Œuvre 日本', sn => 'Ça']);
    return code($r) . ' ' . found('(sn=ça)') . ' ' . code($conn->delete($dn));
};
case escapes_in_names => sub {
    my $dn = 'cn=\20a\,b\+c\"d\;e\\\\f\3d\20,' . $base;
    my $r = $conn->add($dn, attrs => [objectClass => 'person', cn => ' a,b+c"d;e\\f= ', sn => 'x']);
    return code($r) . ' ' . values_of($dn, 'sn') . ' ' . code($conn->delete('CN=a\2cb\2Bc\22d\3be\5cf\=,' . $base));
};
case two_values_in_rdn => sub {
    my $r = $conn->add("cn=Two+sn=Values,$base", attrs => [objectClass => 'person', cn => 'Two', sn => 'Values']);
    return code($r) . ' ' . code($conn->delete("sn=VALUES + cn=two,$base"));
};

case compare_true => sub { code($conn->compare("uid=one,$base", attr => 'mail', value => 'ONE@example.org')) };
case compare_false => sub { code($conn->compare("uid=one,$base", attr => 'mail', value => 'other@example.org')) };
case compare_no_attribute => sub { code($conn->compare("uid=two,$base", attr => 'mail', value => 'x')) };
case compare_no_entry => sub { code($conn->compare("uid=none,$base", attr => 'mail', value => 'x')) };

case modify => sub {
    my $r = $conn->modify("uid=one,$base", changes => [
        delete => [mail => 'first@example.org'], add => [mail => 'second@example.org'],
        replace => [sn => 'Changed'], replace => [title => []], add => [description => ['red', 'blue']]]);
    return join ' ', code($r), values_of("uid=one,$base", 'mail'), values_of("uid=one,$base", 'sn'), values_of("uid=one,$base", 'description');
};
case modify_all_or_nothing => sub {
    my $r = $conn->modify("uid=one,$base", changes => [replace => [sn => 'Half'], delete => [mail => 'none@example.org']]);
    return code($r) . ' ' . values_of("uid=one,$base", 'sn');
};
case modify_add_existing => sub { code($conn->modify("uid=one,$base", add => { description => 'RED' })) };
case modify_delete_whole => sub { code($conn->modify("uid=one,$base", delete => ['description'])) };
case modify_rdn => sub { code($conn->modify("uid=one,$base", replace => { uid => 'other' })) };
case modify_no_entry => sub { code($conn->modify("uid=none,$base", replace => { sn => 'x' })) };
case modify_increment => sub {
    my $r = $conn->add("cn=counter,$base", attrs => [objectClass => ['namedObject', 'posixGroup'], cn => 'counter', gidNumber => 1000]);
    return code($r) if $r->code;
    return code($conn->modify("cn=counter,$base", increment => { gidNumber => 5 })) . ' ' . values_of("cn=counter,$base", 'gidNumber');
};

case rename_keeps_old => sub { code($conn->moddn("uid=two,$base", newrdn => 'uid=zwei', deleteoldrdn => 0)) . ' ' . values_of("uid=zwei,$base", 'uid') };
case rename_deletes_old => sub { code($conn->moddn("uid=zwei,$base", newrdn => 'uid=deux', deleteoldrdn => 1)) . ' ' . values_of("uid=deux,$base", 'uid') };
case rename_case_only => sub { code($conn->moddn("uid=deux,$base", newrdn => 'uid=Deux', deleteoldrdn => 1)) . ' ' . values_of("uid=deux,$base", 'uid') };
case rename_existing => sub { code($conn->moddn("uid=deux,$base", newrdn => 'uid=one', deleteoldrdn => 1)) };
case move => sub { code($conn->moddn("uid=deux,$base", newrdn => 'uid=deux', deleteoldrdn => 1, newsuperior => "ou=below,$base")) . ' ' . names($conn->search(base => "ou=below,$base", scope => 'one', filter => '(objectClass=*)')) };
case move_subtree => sub {
    my $r = $conn->moddn("ou=below,$base", newrdn => 'ou=moved', deleteoldrdn => 1);
    return code($r) . ' ' . names($conn->search(base => "ou=moved,$base", filter => '(objectClass=*)'));
};
case move_below_itself => sub { my $code = code($conn->moddn("ou=moved,$base", newrdn => 'ou=moved', deleteoldrdn => 1, newsuperior => "uid=deux,ou=moved,$base")); $code ? 'refused' : 'moved' };
case move_to_nowhere => sub { code($conn->moddn("uid=one,$base", newrdn => 'uid=one', deleteoldrdn => 1, newsuperior => "ou=none,$base")) };

case who_am_i => sub { $conn->who_am_i->response };
case password_modify => sub {
    my ($own) = bound("uid=one,$base", 'first-password');
    my $r = $own->set_password(oldpasswd => 'first-password', newpasswd => 'second-password');
    my (undef, $old) = bound("uid=one,$base", 'first-password');
    my (undef, $new) = bound("uid=one,$base", 'second-password');
    return join ' ', code($r), code($old), code($new);
};
case password_modify_other => sub {
    my $r = $conn->set_password(user => "uid=one,$base", newpasswd => 'third-password');
    my (undef, $new) = bound("uid=one,$base", 'third-password');
    return join ' ', code($r), code($new);
};
case password_modify_generated => sub {
    my $r = $conn->set_password(user => "uid=one,$base");
    my (undef, $new) = bound("uid=one,$base", $r->gen_password // '');
    return join ' ', code($r), code($new);
};
case unknown_extended => sub { code($conn->extension(name => '1.3.6.1.4.1.4203.666.99.1', value => 'x')) };
case unknown_critical_control => sub { my $c = Net::LDAP::Control->new(type => '1.3.6.1.4.1.4203.666.99.2', critical => 1, value => 'x'); code($conn->search(base => $base, scope => 'base', filter => '(objectClass=*)', control => [$c])) };
case unknown_control => sub { my $c = Net::LDAP::Control->new(type => '1.3.6.1.4.1.4203.666.99.2', critical => 0); code($conn->search(base => $base, scope => 'base', filter => '(objectClass=*)', control => [$c])) };

case delete_non_leaf => sub { code($conn->delete("ou=moved,$base")) };
case delete => sub { code($conn->delete("uid=one,$base")) . ' ' . code($conn->search(base => "uid=one,$base", scope => 'base', filter => '(objectClass=*)')) };
case delete_no_entry => sub { my $r = $conn->delete("uid=none,$base"); code($r) . ' ' . $r->dn };
case unbind => sub { code($conn->unbind) };

binmode STDOUT, ':raw';
for my $name (@order) {
    my $result = eval { $cases{$name}->() };
    $result = "error: $@" if $@;
    $result =~ s/\s+/ /g;
    print "$name\t", (utf8::is_utf8($result) ? encode_utf8($result) : $result), "\n";
}
print "client\tNet::LDAP $Net::LDAP::VERSION\n";
