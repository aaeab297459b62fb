"""The explorer: a local page of sliders over the whole chain.

Starlette and uvicorn serve it, 2 MB to install, and forty lines of script send the form and put the answer in place:
no build step, nothing loaded from elsewhere. Panel, Dash and Streamlit would bring 50 to 200 MB, scripts of megabytes
and a server that keeps state; here the address is the state.
"""
