/* SPDX-License-Identifier: MIT */
/*
 * crabcan._policy: what libseccomp and libcap are needed for. A module of its
 * own, so that a container with the default filter loads neither.
 */
#include <errno.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../policy/capability.h"
#include "../policy/seccomp.h"
#include "binding.h"

static int take_comparisons(PyObject *tuple, struct seccomp_rule *rule)
{
	Py_ssize_t count = PyTuple_Size(tuple);

	if (count > SECCOMP_ARGUMENTS) {
		PyErr_SetString(PyExc_ValueError, "more than six comparisons");
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		struct seccomp_comparison *c = &rule->comparisons[i];
		unsigned long long a;
		unsigned long long b;

		if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "IiKK",
				      &c->argument, &c->operator, & a, &b))
			return -1;
		c->a = a;
		c->b = b;
	}
	rule->comparison_count = (unsigned int)count;
	return 0;
}

static struct seccomp_rule *take_rules(PyObject *tuple, size_t *ret_count)
{
	Py_ssize_t count = PyTuple_Size(tuple);
	struct seccomp_rule *rules =
		PyMem_Calloc((size_t)count + 1, sizeof(*rules));

	if (!rules)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; rules && i < count; i++) {
		PyObject *comparisons;

		if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "sIO!",
				      &rules[i].name, &rules[i].action,
				      &PyTuple_Type, &comparisons) ||
		    take_comparisons(comparisons, &rules[i]) < 0) {
			PyMem_Free(rules);
			return NULL;
		}
	}
	*ret_count = (size_t)count;
	return rules;
}

/* The bytes of a memfd, which is closed. */
static PyObject *bytes_of(int fd)
{
	struct stat st;
	PyObject *bytes = NULL;

	if (fstat(fd, &st) == 0)
		bytes = PyBytes_FromStringAndSize(NULL, st.st_size);
	if (bytes && pread(fd, PyBytes_AsString(bytes), (size_t)st.st_size,
			   0) != st.st_size) {
		Py_CLEAR(bytes);
		PyErr_SetFromErrno(PyExc_OSError);
	}
	close(fd);
	return bytes;
}

/* The errno and the index of the rule, for the package to put in words. */
static PyObject *refused(size_t rule)
{
	PyObject *args = Py_BuildValue("in", errno, (Py_ssize_t)rule);

	if (args) {
		PyErr_SetObject(PyExc_OSError, args);
		Py_DECREF(args);
	}
	return NULL;
}

#define MAX_ARCHITECTURES 16

static PyObject *policy_compile_seccomp(PyObject *module, PyObject *args)
{
	const char *architectures[MAX_ARCHITECTURES + 1] = { NULL };
	struct seccomp_policy policy = { .architectures = architectures };
	PyObject *names;
	PyObject *tuple;
	size_t rule;

	(void)module;
	if (!PyArg_ParseTuple(args, "IO!O!:compile_seccomp",
			      &policy.default_action, &PyTuple_Type, &names,
			      &PyTuple_Type, &tuple))
		return NULL;
	for (Py_ssize_t i = 0; i < PyTuple_Size(names) && i < MAX_ARCHITECTURES;
	     i++) {
		architectures[i] = PyUnicode_AsUTF8AndSize(
			PyTuple_GetItem(names, i), NULL);
		if (!architectures[i])
			return NULL;
	}
	struct seccomp_rule *rules = take_rules(tuple, &policy.rule_count);

	if (!rules)
		return NULL;
	policy.rules = rules;
	int fd = seccomp_compile(&policy, &rule);
	PyObject *bytes = fd < 0 ? refused(rule) : bytes_of(fd);

	PyMem_Free(rules);
	return bytes;
}

static PyObject *policy_knows_syscall(PyObject *module, PyObject *name)
{
	const char *text = PyUnicode_AsUTF8AndSize(name, NULL);

	(void)module;
	return text ? PyBool_FromLong(seccomp_knows(text)) : NULL;
}

static PyObject *policy_capability_number(PyObject *module, PyObject *name)
{
	const char *text = PyUnicode_AsUTF8AndSize(name, NULL);

	(void)module;
	return text ? PyLong_FromLong(capability_number(text)) : NULL;
}

static PyObject *policy_capability_name(PyObject *module, PyObject *number)
{
	long value = PyLong_AsLong(number);

	(void)module;
	if (PyErr_Occurred())
		return NULL;
	char *name = capability_name((int)value);

	if (!name)
		Py_RETURN_NONE;
	PyObject *text = PyUnicode_FromString(name);

	capability_free(name);
	return text;
}

static PyMethodDef methods[] = {
	{ "compile_seccomp", policy_compile_seccomp, METH_VARARGS,
	  "The bytes of a filter: default action, architectures, rules. "
	  "OSError(errno, rule) where libseccomp refuses one." },
	{ "knows_syscall", policy_knows_syscall, METH_O,
	  "Whether libseccomp knows a system call by this name." },
	{ "capability_number", policy_capability_number, METH_O,
	  "A capability's number by libcap's name, or -1." },
	{ "capability_name", policy_capability_name, METH_O,
	  "A capability's name by its number, or None." },
	{ 0 },
};

static int module_exec(PyObject *module)
{
	static const struct {
		const char *name;
		long value;
	} constants[] = {
		{ "ALLOW", (long)SCMP_ACT_ALLOW },
		{ "LOG", (long)SCMP_ACT_LOG },
		{ "TRAP", (long)SCMP_ACT_TRAP },
		{ "KILL_THREAD", (long)SCMP_ACT_KILL_THREAD },
		{ "KILL_PROCESS", (long)SCMP_ACT_KILL_PROCESS },
		{ "ERRNO", (long)SCMP_ACT_ERRNO(0) },
		{ "NE", SCMP_CMP_NE },
		{ "LT", SCMP_CMP_LT },
		{ "LE", SCMP_CMP_LE },
		{ "EQ", SCMP_CMP_EQ },
		{ "GE", SCMP_CMP_GE },
		{ "GT", SCMP_CMP_GT },
		{ "MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		if (PyModule_AddIntConstant(module, constants[i].name,
					    constants[i].value) < 0)
			return -1;
	return 0;
}

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, module_exec },
	{ 0, NULL },
};

static struct PyModuleDef policy_module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "crabcan._policy",
	.m_doc = "Policies by name, compiled: libseccomp and libcap.",
	.m_methods = methods,
	.m_slots = slots,
};

PyMODINIT_FUNC PyInit__policy(void);
PyMODINIT_FUNC PyInit__policy(void)
{
	return PyModuleDef_Init(&policy_module);
}
