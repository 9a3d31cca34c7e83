"""Another pack, with the ways in which packs call samplers, wrap models and draw noise."""

import functools
import inspect

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

NODE_CLASS_MAPPINGS = {}


def node(returns, **inputs):
    """Makes a node of a function; its inputs by name and type."""
    def made(function):
        cls = type(function.__name__, (), {
            "INPUT_TYPES": classmethod(lambda cls: {"required": inputs}), "RETURN_TYPES": returns,
            "FUNCTION": "go", "CATEGORY": "testing", "go": lambda self, **given: function(**given),
        })
        NODE_CLASS_MAPPINGS[function.__name__] = cls
        return function
    return made


FLOAT = ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01})


@node(("SAMPLER",), sampler=("SAMPLER",), factor=FLOAT, shows=(["some", "nothing"],))
def TestDaemon(sampler, factor, shows):
    """The model is told another sigma, by a function that hands on two attributes, or none."""
    def sample(model, x, sigmas, *, wrapped, **named):
        def asked(x, sigma, **extra):
            return model(x, sigma * factor, **{**of_the_host, **extra})

        of_the_host = {}
        if shows == "some":
            for name in ("inner_model", "sigmas"):
                if hasattr(model, name):
                    setattr(asked, name, getattr(model, name))
        else:  # a single method's step, as if there were no host around
            of_the_host = named.pop("extra_args")
            named["extra_args"] = {"seed": of_the_host.get("seed")}
        return wrapped.sampler_function(asked, x, sigmas, **named, **wrapped.extra_options)

    return (comfy.samplers.KSAMPLER(sample, extra_options={"wrapped": sampler}),)


@node(("SAMPLER",), sampler=("SAMPLER",), eta=FLOAT, s_noise=FLOAT, noise=(["own", "ones"],))
def TestOverride(sampler, eta, s_noise, noise):
    """Noise and options of others, for whoever takes them by its signature."""
    def sample(model, x, sigmas, *args, **named):
        takes = inspect.signature(sampler.sampler_function).parameters
        given = {"eta": eta, "s_noise": s_noise}
        if noise == "ones":
            given["noise_sampler"] = lambda sigma, sigma_next: torch.ones_like(x)
        named |= {name: value for name, value in given.items() if name in takes}
        return sampler.sampler_function(model, x, sigmas, *args, **named)

    function = functools.update_wrapper(functools.partial(sample), sampler.sampler_function)
    return (comfy.samplers.KSAMPLER(function, dict(sampler.extra_options)),)


@node(("MODEL",), model=("MODEL",), strength=FLOAT)
def TestStray(model, strength):
    """A patch of the answer that draws from the global generator."""
    model = model.clone()
    model.set_model_sampler_post_cfg_function(
        lambda args: args["denoised"] + strength * torch.randn_like(args["denoised"])
    )
    return (model,)


@node(("MODEL",), model=("MODEL",), forget=("BOOLEAN", {}))
def TestNoScale(model, forget):
    """The host's guidance code is replaced for all, and hooks are told less than they were."""
    host = comfy.samplers
    original = getattr(host.sampling_function, "original", host.sampling_function)

    def sampling_function(model, x, timestep, uncond, cond, cond_scale, model_options={}, **named):  # noqa: B006
        options = dict(model_options)
        options["sampler_post_cfg_function"] = [
            lambda args, hook=hook: hook({k: v for k, v in args.items() if k != "cond_scale"})
            for hook in model_options.get("sampler_post_cfg_function", ())
        ]
        return original(model, x, timestep, uncond, cond, cond_scale, options, **named)

    sampling_function.original = original
    host.sampling_function = sampling_function if forget else original
    return (model,)


def found_no_picture(node):
    """What its picture input says where no picture is chosen."""
    return node.INPUT_TYPES()["required"]["image"][1]["default"]


@node(("LATENT",), latent=("LATENT",), model=("MODEL",), positive=("CONDITIONING",),
      negative=("CONDITIONING",), kind=("STRING", {}), sampler=("STRING", {}))
def TestDirect(latent, model, positive, negative, kind, sampler):
    """Nodes called as exported scripts and XY plots call them."""
    import nodes

    def call(name, **inputs):
        found = nodes.NODE_CLASS_MAPPINGS[name]
        out = getattr(found(), found.FUNCTION)(**inputs)
        return out if isinstance(out, tuple) else out.result

    shared = dict(model=model, positive=positive, negative=negative, latent_image=latent,
                  steps=4, cfg=4.0)
    if kind == "KSampler":
        return (call("StrideKSampler", seed=5, sampler=sampler, schedule="karras", denoise=1.0,
                     **shared)[0],)
    if kind == "Advanced":
        return (call("StrideKSamplerAdvanced", noise_seed=5, sampler=sampler, schedule="karras",
                     add_noise="enable", start_at_step=0, end_at_step=10000,
                     return_with_leftover_noise="disable", **shared)[0],)
    made = call("StrideSampler", sampler=sampler)[0]
    made = call("StrideSkipSteps", sampler=made, every=100, sigma_high=1e4, sigma_low=0.0)[0]
    sigmas = call("StrideSchedule", model=model, schedule="karras", steps=4, denoise=1.0)[0]
    out = call("SamplerCustom", model=model, add_noise=True, noise_seed=5, cfg=4.0,
               positive=positive, negative=negative, sampler=made, sigmas=sigmas,
               latent_image=latent)
    call("StrideToA1111", positive="a", negative="", steps=4, sampler=sampler, schedule="karras",
         cfg=4.0, seed=5, width=256, height=256)
    image = found_no_picture(nodes.NODE_CLASS_MAPPINGS["StrideFromA1111"])
    call("StrideFromA1111", text="a\nSteps: 4, Sampler: Euler, Seed: 1, Size: 64x64",
         image=image)
    return (out[0],)


def sample_callers_stray(model, x, sigmas, extra_args=None, callback=None, disable=None):
    """Euler with a little noise from the global generator."""
    for i in range(len(sigmas) - 1):
        denoised = model(x, sigmas[i] * x.new_ones([x.shape[0]]), **(extra_args or {}))
        if callback is not None:
            callback({"i": i, "x": x, "denoised": denoised, "sigma": sigmas[i],
                      "sigma_hat": sigmas[i]})
        x = denoised + (x - denoised) * sigmas[i + 1] / sigmas[i]
        x = x + 0.1 * sigmas[i + 1] * torch.randn_like(x)
    return x


def sample_callers_probe(model, x, sigmas, extra_args=None, callback=None, disable=None, order=1):
    """Tells what it was called with by its attributes and its class."""
    if hasattr(model, "model"):
        sampling = model.model.model_sampling
    else:
        sampling = model.inner_model.inner_model.model_sampling
    if not isinstance(model, comfy.samplers.KSamplerX0Inpaint):
        raise TypeError(f"called with a {type(model).__name__}")
    assert float(sampling.sigma_max) > 0 and model.inner_model.cfg and order == 1
    model.marked = True
    assert vars(model).get("marked") or hasattr(model, "marked")
    del model.marked
    return comfy.k_diffusion.sampling.sample_heun(
        model, x, sigmas, extra_args=extra_args, callback=callback, disable=disable
    )


for function in (sample_callers_stray, sample_callers_probe):
    setattr(comfy.k_diffusion.sampling, function.__name__, function)
    comfy.samplers.KSampler.SAMPLERS.append(function.__name__.removeprefix("sample_"))
